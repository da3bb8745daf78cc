"""scikit-learn-compatible estimators for coded patient histories.

The way of the data, by submodule:

- `io`: events of OMOP, MEDS, MIMIC, eICU and Synthea; maps of codes.
- `cohort`, `labelling`: `EventTable`, `Cohort`, `make_samples`.
- `visits`: `VisitSequenceTransformer`, `CodeCountVectorizer`.
- `model_selection`: splitters that keep a patient on one side.
- `estimators`, `nn`: `LSTMVisitClassifier` and its siblings, and their network in plain torch.
- `inspection`: why a model predicts what it does, and displays.
- `comparison`, `reporting`: `compare` and `report`.
- `datasets`: bundled data, and a simulator.

``help(sklearn_ehr.Cohort)`` and the like describe one of them; this page goes on with all.
"""

from importlib import import_module

_ROOMS = {
    "cohort": ["Cohort", "EventTable"],
    "labelling": ["make_next_visit_labels", "make_samples", "make_visit_labels"],
    "visits": ["CodeCountVectorizer", "VisitSequenceTransformer", "VisitSequences", "Vocabulary"],
    "model_selection": [
        "PatientKFold",
        "PatientShuffleSplit",
        "PredefinedPatientSplit",
        "StratifiedPatientKFold",
        "TemporalPatientSplit",
    ],
    "estimators": [
        "LSTMVisitClassifier",
        "LSTMVisitRegressor",
        "LSTMVisitSurvival",
        "LSTMVisitTagger",
        "make_code_vectors",
    ],
    "inspection": ["make_model_card"],
    "comparison": ["compare"],
    "reporting": ["report"],
}
_SUBMODULES = ("datasets", "inspection", "io", "model_selection", "nn", "reporting")
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_ROOM_OF)
__version__ = "0.1.0"


def __getattr__(name):
    """Import a public name when it is first asked for: estimators load torch."""
    if name in _SUBMODULES:
        return import_module(f".{name}", __name__)
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_ROOM_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__, *_SUBMODULES])
