"""Needs of a fitted transformer."""


def needs_of(transformer):
    """What the events of new data must bring, as `CodeTransformer.needs` returns it."""
    is_used = {
        "patient_id": True,
        "time": transformer._kind_of_times is not None,
        "code": True,
        "visit_id": transformer._has_visit_ids and transformer.visits in ("auto", "id"),
        "value": transformer._value_bins is not None,
        "known_time": transformer._has_known_times,
    }
    scale = transformer._scale_of_times
    return {
        "columns": [name for name, used in is_used.items() if used],
        "features": list(map(str, transformer._feature_encoder.names)),
        "resolution": transformer.resolution_,
        "times": transformer._kind_of_times,
        "unit": None if scale is None else f"numbers of about 1e{scale}",
        "vocabulary_size": len(transformer.vocabulary_.codes),
        "versions": dict(transformer._versions),
    }
