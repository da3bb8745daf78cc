"""Codes of the concepts of an OMOP database, and their ancestors."""

import narwhals.stable.v2 as nw

from ..utils import errors_of_engine
from ._tables import pick

_CONCEPT = {"concept_id": nw.Int64(), "vocabulary_id": nw.String(), "concept_code": nw.String()}


def with_codes(events, concepts):
    """Look up the codes of concepts and answers, and join them to one code of each event."""
    codes = None if concepts is None else _codes_of(concepts)
    events = _look_up(events, codes, "concept_id", "concept")
    events = _look_up(events, codes, "answer_id", "answer")
    answer = nw.concat_str(nw.lit("//"), nw.col("answer"))
    parts = [nw.col("concept"), answer, nw.col("suffix")]
    code = nw.concat_str(*(nw.coalesce(part, nw.lit("")) for part in parts))
    return events.select(
        "patient_id", "time", code.alias("code"), "visit_id", "value", "known_time"
    )


def _codes_of(concepts):
    concepts = pick(concepts, "concept", _CONCEPT).filter(nw.col("concept_id") != 0)
    code = nw.concat_str("vocabulary_id", "concept_code", separator="//")
    return concepts.select("concept_id", code.alias("concept_label")).unique(
        "concept_id", keep="any"
    )


def _look_up(events, codes, column, name):
    """Add the code of a column of concept ids, or the id itself if there is no such concept."""
    label = nw.col(column).cast(nw.String)
    if codes is not None:
        events = events.join(codes, left_on=column, right_on="concept_id", how="left")
        label = nw.coalesce(nw.col("concept_label"), label)
    events = events.with_columns(label.alias(name))
    return events if codes is None else events.drop("concept_label")


def roll_up(events, tables, classes):
    """Replace concepts with their ancestors of these concept classes, where they have any."""
    columns = {"concept_id": nw.Int64(), "concept_class_id": nw.String()}
    concepts = pick(tables["concept"], "concept", columns)
    wanted = concepts.filter(nw.col("concept_class_id").is_in(list(classes)))
    _refuse_unused(wanted, classes)
    pairs = dict.fromkeys(["descendant_concept_id", "ancestor_concept_id"], nw.Int64())
    ancestors = pick(tables["concept_ancestor"], "concept_ancestor", pairs).join(
        wanted, left_on="ancestor_concept_id", right_on="concept_id", how="semi"
    )
    joined = events.join(
        ancestors.unique(), left_on="concept_id", right_on="descendant_concept_id", how="left"
    )
    ancestor = nw.coalesce("ancestor_concept_id", "concept_id")
    return joined.with_columns(ancestor.alias("concept_id")).select(*events.collect_schema())


def _refuse_unused(concepts, classes):
    used = concepts.select("concept_class_id").unique()
    with errors_of_engine("the concepts"):
        used = used.collect() if isinstance(used, nw.LazyFrame) else used
    if missing := sorted(set(classes) - set(used["concept_class_id"].to_list())):
        raise ValueError(
            f"ancestors has {', '.join(map(repr, missing))}, but no concept of the table concept "
            f"has this concept_class_id."
        )
