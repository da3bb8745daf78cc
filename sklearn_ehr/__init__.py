"""scikit-learn-compatible estimators for coded patient histories."""

from .cohort import Cohort
from .estimators import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    make_code_vectors,
)
from .labels import make_next_visit_labels, make_visit_labels
from .model_selection import (
    PatientKFold,
    PatientShuffleSplit,
    StratifiedPatientKFold,
    TemporalPatientSplit,
)
from .samples import make_samples
from .sequences import VisitSequences
from .transformer import CodeCountVectorizer, VisitSequenceTransformer
from .vocabulary import Vocabulary

__all__ = [
    "CodeCountVectorizer",
    "Cohort",
    "LSTMVisitClassifier",
    "LSTMVisitRegressor",
    "LSTMVisitSurvival",
    "LSTMVisitTagger",
    "PatientKFold",
    "PatientShuffleSplit",
    "StratifiedPatientKFold",
    "TemporalPatientSplit",
    "VisitSequenceTransformer",
    "VisitSequences",
    "Vocabulary",
    "make_code_vectors",
    "make_next_visit_labels",
    "make_samples",
    "make_visit_labels",
]

__version__ = "0.1.0"
