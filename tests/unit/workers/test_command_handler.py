"""The handler of `command`, with real programs."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from haste_core.messages import TaskResult
from haste_core.states import TaskState
from tests.unit.workers.bench import RunTask


class Bench:
    """A worker that allows one program, a Python script of the test's."""

    def __init__(self, run_task: RunTask, folder: Path, source: Path) -> None:
        self._run_task = run_task
        self._program = folder / "program"
        self._source = source

    def run(self, code: str, *arguments: str, **parameters: Any) -> TaskResult:
        self._program.write_text(f"#!{sys.executable}\nimport json, os, sys\n{code}\n")
        self._program.chmod(self._program.stat().st_mode | stat.S_IXUSR)
        return self._run_task(
            "command",
            self._source,
            settings={"programs": {"measure": self._program}},
            parameters={"argv": ["measure", *arguments], **parameters},
        )


@pytest.fixture
def bench(run_task: RunTask, tmp_path: Path, data_dir: Path) -> Bench:
    source = data_dir / "with space & $(touch x); 'quote'.tif"
    source.write_bytes(b"pixels")
    return Bench(run_task, tmp_path, source)


def test_json_on_standard_output_is_the_response(bench: Bench) -> None:
    code = "print(json.dumps({'args': sys.argv[1:], 'size': os.path.getsize(sys.argv[2])}))"
    result = bench.run(code, "--in", "{source}", "--json={}")
    assert result.state is TaskState.DONE, result.message
    assert result.response["size"] == 6
    assert result.response["args"][0] == "--in"
    assert result.response["args"][1].endswith("with space & $(touch x); 'quote'.tif")
    assert result.response["args"][2] == "--json={}"


def test_first_row_of_a_table_is_the_response(bench: Bench, tmp_path: Path) -> None:
    code = (
        "open(os.path.join(sys.argv[1], 'Run_Image.csv'), 'w').write("
        "'Name,Slope,Count,Bad\\nA01,-1.5,12,nan\\nA02,0,0,0\\n')"
    )
    result = bench.run(code, "{output_dir}", csv="*_Image.csv")
    assert result.response == {"Name": "A01", "Slope": -1.5, "Count": 12, "Bad": None}
    assert list((tmp_path / "work" / "output").rglob("Run_Image.csv"))
    assert bench.run(code, "{output_dir}", csv="*_Image.csv", columns=["Slope"]).response == {"Slope": -1.5}


def test_only_what_is_plainly_a_number_is_read_as_one(bench: Bench) -> None:
    cells: dict[str, Any] = dict.fromkeys(["nan", "NaN", "-nan", "inf", "-Infinity"])
    cells |= {"12": 12, "+5": 5, "-0": 0, " 12 ": 12, "9" * 20: int("9" * 20)}
    cells |= {"-1.5": -1.5, ".5": 0.5, "1.": 1.0, "1e5": 1e5, "2.5E-3": 0.0025}
    texts = ["1_2", "1_2.5", "007", "-01.5", "0x10", "1,5", "1 2", "1d5", "e5", ".", "", "NA", "infinite"]
    texts += ["9" * 400, "-" + "9" * 5000, "1e999", "\uff11\uff12", "\u0663", "\xb2", "\xa012", "\u0131nf"]
    cells |= {text: text for text in texts}
    columns = {f"c{number}": cell for number, cell in enumerate(cells)}
    code = (
        "import csv\n"
        "with open(os.path.join(sys.argv[1], 'Run_Image.csv'), 'w', encoding='utf-8') as file:\n"
        f"    csv.writer(file).writerows({[list(columns), list(columns.values())]!r})"
    )

    result = bench.run(code, "{output_dir}", csv="*_Image.csv")

    assert result.state is TaskState.DONE, result.message
    read = {columns[name]: value for name, value in result.response.items()}
    assert read == cells
    assert {text: type(value) for text, value in read.items()} == {t: type(v) for t, v in cells.items()}


def test_a_byte_order_mark_is_no_part_of_a_name(bench: Bench) -> None:
    table = (
        "open(os.path.join(sys.argv[1], 'Run_Image.csv'), 'w', encoding='utf-8-sig').write('Count\\n1\\n')"
    )
    assert bench.run(table, "{output_dir}", csv="*.csv", columns=["Count"]).response == {"Count": 1}
    answer = "sys.stdout.buffer.write('{\"Count\": 1}'.encode('utf-8-sig'))"
    assert bench.run(answer).response == {"Count": 1}


def test_a_table_that_cannot_be_read_is_named(bench: Bench) -> None:
    code = "open(os.path.join(sys.argv[1], 'Run_Image.csv'), 'w').write('Name\\n' + 'x' * 200_000)"
    result = bench.run(code, "{output_dir}", csv="*_Image.csv")
    assert result.state is TaskState.ERROR
    assert result.message.startswith("the table Run_Image.csv cannot be read: field larger")


def test_folders_are_no_tables(bench: Bench) -> None:
    code = (
        "os.makedirs(os.path.join(sys.argv[1], 'masks'), exist_ok=True)\n"
        "open(os.path.join(sys.argv[1], 'measured'), 'w').write('Count\\n1\\n')"
    )
    for _attempt in range(2):
        assert bench.run(code, "{output_dir}", csv="m*").response == {"Count": 1}


def test_table_of_an_earlier_attempt_does_not_count(bench: Bench) -> None:
    write = "open(os.path.join(sys.argv[1], 'Run_Image.csv'), 'w').write('Count\\n1\\n')"
    assert bench.run(write, "{output_dir}", csv="*_Image.csv").state is TaskState.DONE
    result = bench.run("pass", "{output_dir}", csv="*_Image.csv")
    assert result.state is TaskState.ERROR
    assert "left 0 files" in result.message


def test_file_list_holds_the_source(bench: Bench) -> None:
    result = bench.run("print(json.dumps({'list': open(sys.argv[1]).read()}))", "{file_list}")
    assert result.response["list"].endswith("'quote'.tif\n")


def test_program_sees_no_secrets_and_no_input(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASTE_TOKEN", "hush-token")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-key")
    code = (
        "hush = [value for value in os.environ.values() if 'hush' in value]\n"
        "print(json.dumps({'input': sys.stdin.read(), 'seen': hush}))"
    )
    assert bench.run(code).response == {"input": "", "seen": []}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit('no such channel')", "failed with exit code 1: no such channel"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("os.kill(os.getpid(), 40)", "was killed by signal 40: it wrote nothing"),
        ("print('done!')", "is no JSON object: 'done!'"),
        ("print('[1, 2]')", "JSON but no object"),
        ("print('{\"a\":' + '[' * 99_999 + ']' * 99_999 + '}')", "is no JSON object"),
        ("print('x' * 2_000_000)", "not a small JSON object"),
        ("sys.stderr.write('early\\n' * 9999 + 'last words'); sys.exit(3)", "last words"),
        ("print('{\"score\": NaN}')", "score is nan"),
    ],
)
def test_failures_say_what_the_program_said(bench: Bench, code: str, said: str) -> None:
    result = bench.run(code)
    assert result.state is TaskState.ERROR
    assert said in result.message
    assert len(result.message) < 3000


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"argv": ["sh", "-c", "true"]}, "'sh' is not allowed on this worker (allowed: measure)"),
        ({"argv": ["/bin/true"]}, "'/bin/true' is not allowed"),
        ({"argv": []}, "argv"),
        ({}, "argv: is required"),
        ({"argv": ["measure", "{sauce}"]}, "{sauce} in argv means nothing"),
        ({"argv": ["measure"], "csv": "../../*.csv"}, "below the output folder"),
        ({"argv": ["measure"], "csv": ""}, "below the output folder"),
        ({"argv": ["measure"], "shell": True}, "shell"),
    ],
)
def test_what_is_not_allowed_is_named(
    run_task: RunTask, data_dir: Path, parameters: dict[str, Any], said: str
) -> None:
    (data_dir / "a.tif").touch()
    programs = {"programs": {"measure": Path(sys.executable)}}
    result = run_task("command", data_dir / "a.tif", settings=programs, parameters=parameters)
    assert result.state is TaskState.ERROR
    assert said in result.message


def test_program_that_is_not_installed(run_task: RunTask, data_dir: Path) -> None:
    (data_dir / "a.tif").touch()
    programs = {"programs": {"fiji": "/no/such/fiji"}}
    result = run_task("command", data_dir / "a.tif", settings=programs, parameters={"argv": ["fiji"]})
    assert result.state is TaskState.ERROR
    assert "/no/such/fiji cannot be started here" in result.message


def test_missing_source_is_404(bench: Bench, run_task: RunTask, data_dir: Path) -> None:
    settings = {"programs": {"measure": Path(sys.executable)}}
    parameters = {"argv": ["measure", "{source}"]}
    result = run_task("command", data_dir / "gone.tif", settings=settings, parameters=parameters)
    assert result.state is TaskState.SOURCE_MISSING


def test_answer_survives_its_way_through_json(bench: Bench) -> None:
    answer = {"text": "Größe µm", "list": [1, 2.5, None, {"deep": True}]}
    result = bench.run(f"print(json.dumps({answer!r}))")
    assert json.loads(json.dumps(result.response)) == answer
