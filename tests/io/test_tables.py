"""Tables of folders and dicts, read as they are, however they are written."""

import gzip

import pandas as pd
import pytest

from sklearn_ehr.io import read_eicu, read_mimic, read_omop_visits, read_synthea

pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
pytest.importorskip("pyarrow", reason="pyarrow comes with the extra store")

HEADER = "subject_id,hadm_id,starttime,drug,ndc\n"
ROW = "1,2,2150-01-01 00:00:00,Aspirin,00012\n"
VISITS = pd.DataFrame(
    {
        "visit_occurrence_id": [10],
        "person_id": [1],
        "visit_concept_id": [9201],
        "visit_start_date": ["2020-03-02"],
        "visit_end_date": ["2020-03-06"],
    }
)


def drugs(text, folder):
    """Distinct codes of a file of prescriptions."""
    (folder / "prescriptions.csv").write_bytes(text.encode())
    return sorted(set(read_mimic(folder, domains=["drug"]).df()["code"]))


@pytest.mark.parametrize("n_rows", [3, 21_000])
def test_quotes_are_read_wherever_the_first_one_is(n_rows, tmp_path):
    text = HEADER + n_rows * ROW + '1,2,2150-01-01 00:00:00,"Dextrose, 5% ""D""",00012\n'
    assert drugs(text, tmp_path) == ["DRUG//Aspirin", 'DRUG//Dextrose, 5% "D"']


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace(",", ";"),
    lambda text: text.replace(",", "\t"),
    lambda text: "\ufeff" + text,
    lambda text: text + "\n\n",
    lambda text: text.replace("\n", ",\n"),
])  # fmt: skip
def test_dialect_is_that_of_the_header(change, tmp_path):
    assert drugs(change(HEADER + 3 * ROW), tmp_path) == ["DRUG//Aspirin"]


def test_line_that_begins_with_a_hash_is_no_comment(tmp_path):
    header = "PATIENT,START,ENCOUNTER,CODE\n"
    rows = "p1,2020-01-01,e1,1\n#p2,2020-01-01,e2,2\n"
    (tmp_path / "conditions.csv").write_text(header + rows)
    events = read_synthea(tmp_path, domains=["condition"]).df()
    assert sorted(events["patient_id"]) == ["#p2", "p1"]


def test_quotes_in_a_file_with_tabs_are_part_of_names(tmp_path):
    text = (HEADER + ROW).replace(",", "\t").replace("Aspirin", '"Light" with 5"')
    assert drugs(text, tmp_path) == ['DRUG//"Light" with 5"']


@pytest.mark.parametrize("bad", ["1,2,2150-01-01 00:00:00\n", "1,2,x,y,z,SECRET\n"])
def test_line_with_other_columns_is_an_error_of_the_file(bad, tmp_path):
    with pytest.raises(ValueError, match="table 'prescriptions' cannot be read") as info:
        drugs(HEADER + 100 * ROW + bad, tmp_path)
    assert "SECRET" not in str(info.value)


@pytest.mark.parametrize(
    "content", [b"", HEADER.encode("utf-16"), (HEADER + "1,2,x,\xe9,y\n").encode("latin-1")]
)
def test_file_that_is_no_csv_in_utf8_is_told(content, tmp_path):
    (tmp_path / "prescriptions.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"table '?prescriptions"):
        read_mimic(tmp_path, domains=["drug"])


@pytest.mark.parametrize("name", ["site_?", "data[1]", "site*"])
def test_folder_with_the_name_of_a_pattern_is_read_alone(name, tmp_path):
    for folder, person in ((name, 7), ("site_1", 8), ("data1", 9)):
        (tmp_path / folder).mkdir()
        VISITS.assign(person_id=person).to_csv(tmp_path / folder / "visit_occurrence.csv")
    assert read_omop_visits(tmp_path / name).df()["patient_id"].tolist() == [7]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_folder_of_a_table_holds_its_parts(ending, tmp_path):
    folder = tmp_path / "omop" / "VISIT_OCCURRENCE"
    folder.mkdir(parents=True)
    for person in (1, 2):
        # The name of a part may be that of its table.
        part = folder / (f"part-{person}.{ending}" if person == 1 else f"visit_occurrence.{ending}")
        visits = VISITS.assign(person_id=person)
        visits.to_parquet(part) if ending == "parquet" else visits.to_csv(part)
    assert sorted(read_omop_visits(tmp_path / "omop").df()["patient_id"]) == [1, 2]


def test_folder_of_a_table_with_two_formats_is_refused(tmp_path):
    folder = tmp_path / "visit_occurrence"
    folder.mkdir()
    VISITS.to_csv(folder / "0.csv")
    VISITS.to_parquet(folder / "1.parquet")
    with pytest.raises(ValueError, match="parquet files, or CSV files, and not both"):
        read_omop_visits(tmp_path)


def test_parts_with_different_headers_are_refused(tmp_path):
    folder = tmp_path / "visit_occurrence"
    folder.mkdir()
    VISITS.to_csv(folder / "0.csv")
    VISITS[VISITS.columns[::-1]].to_csv(folder / "1.csv")
    with pytest.raises(ValueError, match="all with the same header"):
        read_omop_visits(tmp_path)


def test_names_of_columns_may_be_quoted(tmp_path):
    header = ",".join(f'"{name}"' for name in HEADER.strip().upper().split(",")) + "\n"
    assert drugs(header + ROW, tmp_path) == ["DRUG//Aspirin"]


def test_table_without_rows_has_no_events(tmp_path):
    (tmp_path / "prescriptions.csv").write_text(HEADER)
    assert len(read_mimic(tmp_path, domains=["drug"]).df()) == 0
    empty = pd.read_csv(tmp_path / "prescriptions.csv", dtype="string")
    assert len(read_mimic({"prescriptions": empty}, domains=["drug"])) == 0


def test_gzipped_file_is_read(tmp_path):
    with gzip.open(tmp_path / "prescriptions.csv.gz", "wt") as file:
        file.write(HEADER + ROW)
    assert len(read_mimic(tmp_path, domains=["drug"]).df()) == 1


@pytest.mark.parametrize("cut", [slice(20), slice(4, None)])
def test_gzipped_file_that_is_damaged_is_told(cut, tmp_path):
    content = gzip.compress((HEADER + 1000 * ROW).encode())[cut]
    (tmp_path / "prescriptions.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match="table 'prescriptions' cannot be read"):
        read_mimic(tmp_path, domains=["drug"])


def test_offset_of_a_text_is_refused_as_a_zone_is(tmp_path):
    VISITS.assign(visit_start_datetime="2020-03-02 22:00:00-05:00").to_csv(
        tmp_path / "visit_occurrence.csv"
    )
    with pytest.raises(TypeError, match=r"'visit_start_datetime' .* without a time zone"):
        read_omop_visits(tmp_path)


def test_columns_of_mixed_types_are_read_as_texts():
    labs = pd.DataFrame(
        {
            "subject_id": [1, 1],
            "hadm_id": [2, 2],
            "itemid": [50912, None],
            "charttime": "2150-01-01 08:00",
            "valuenum": [1.5, 2.5],
            "value": ["1.5", 2.5],
        }
    )
    events = read_mimic({"labevents": labs}, domains=["measurement"])
    assert events["code"].tolist() == ["LAB//50912"]


def test_cell_of_another_type_is_not_shown():
    visits = pd.concat([VISITS, VISITS.assign(visit_concept_id="SECRET")])
    with pytest.raises(ValueError, match="'visit_concept_id' of table 'visit_occurrence'") as info:
        read_omop_visits({"visit_occurrence": visits})
    assert "SECRET" not in str(info.value)


def test_repeated_names_are_refused():
    with pytest.raises(ValueError, match="tables whose names differ only in case"):
        read_omop_visits({"visit_occurrence": VISITS, "VISIT_OCCURRENCE": VISITS})
    twice = pd.concat([VISITS, VISITS[["person_id"]]], axis=1)
    with pytest.raises(ValueError, match="several columns of the same name"):
        read_omop_visits({"visit_occurrence": twice})


def test_domain_that_is_named_twice_is_read_once(tmp_path):
    (tmp_path / "prescriptions.csv").write_text(HEADER + ROW)
    assert len(read_mimic(tmp_path, domains=["drug", "drug"]).df()) == 1


@pytest.mark.parametrize("blank", ["", " ", ", ", None])
def test_diagnosis_without_an_icd_code_is_its_text(blank):
    diagnoses = pd.DataFrame(
        {
            "patientunitstayid": [7],
            "diagnosisoffset": [95],
            "diagnosisstring": ["cardiovascular"],
            "icd9code": pd.array([blank], dtype="string"),
        }
    )
    events = read_eicu({"diagnosis": diagnoses}, domains=["condition"])
    assert events["code"].tolist() == ["DIAGNOSIS//cardiovascular"]


def test_blank_text_is_no_code():
    drugs = pd.DataFrame(
        {
            "subject_id": [1, 1],
            "hadm_id": [2, 2],
            "starttime": "2150-01-01",
            "drug": ["Aspirin", " "],
            "ndc": ["", ""],
        }
    )
    for drug_codes in ("name", "ndc"):
        events = read_mimic({"prescriptions": drugs}, domains=["drug"], drug_codes=drug_codes)
        assert events["code"].tolist() == ["DRUG//Aspirin"]
