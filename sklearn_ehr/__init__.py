"""scikit-learn-compatible estimators for coded patient histories."""

from .cohort import Cohort
from .estimators import LSTMVisitClassifier, LSTMVisitRegressor
from .model_selection import PatientKFold, PatientShuffleSplit, StratifiedPatientKFold
from .sequences import VisitSequences
from .transformer import CodeCountVectorizer, VisitSequenceTransformer
from .vocabulary import Vocabulary

__all__ = [
    "CodeCountVectorizer",
    "Cohort",
    "LSTMVisitClassifier",
    "LSTMVisitRegressor",
    "PatientKFold",
    "PatientShuffleSplit",
    "StratifiedPatientKFold",
    "VisitSequenceTransformer",
    "VisitSequences",
    "Vocabulary",
]

__version__ = "0.1.0"
