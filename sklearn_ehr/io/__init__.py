"""Readers of the field's formats, and maps of codes: functions from dataframes to dataframes."""

from ._code_maps import map_codes
from ._eicu import read_eicu, read_eicu_visits
from ._meds import read_meds, read_meds_codes, read_meds_splits
from ._meds_write import to_meds, to_meds_predictions
from ._mimic import read_mimic, read_mimic_visits
from ._omop import read_omop, read_omop_visits
from ._synthea import read_synthea, read_synthea_visits

__all__ = [
    "map_codes",
    "read_eicu",
    "read_eicu_visits",
    "read_meds",
    "read_meds_codes",
    "read_meds_splits",
    "read_mimic",
    "read_mimic_visits",
    "read_omop",
    "read_omop_visits",
    "read_synthea",
    "read_synthea_visits",
    "to_meds",
    "to_meds_predictions",
]
