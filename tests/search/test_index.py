"""Writing the indexes: replacing, breaking, building anew, and being killed at any moment."""

import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.search.index import BrokenIndexError, Document, Indexer, academy_folder, is_rebuilding, open_index
from appliance.search.query import REBUILDING, find

_DAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def document(id_: str, text: str, academy: str = "northgate", kind: str = "event", days: int = 0) -> Document:
    return Document(kind, id_, academy, _DAY + timedelta(days=days), "abuse", 3, text)


@pytest.fixture
def indexer(tmp_path: Path) -> Indexer:
    indexer = Indexer(tmp_path / "index")
    indexer.wipe()
    indexer.finish_rebuild()
    return indexer


def found(folder: Path, words: str, *academies: str) -> set[str]:
    answer = find(folder, academies or ("northgate",), words)
    assert answer.problem is None
    return {hit.id for hit in answer.hits}


def test_a_document_takes_the_place_of_the_earlier_one_of_its_kind_and_id(indexer: Indexer, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    indexer.update([document("1", "scared of going home"), document("1", "scared", kind="concern")])
    indexer.update([document("1", "worried about a friend")])
    assert [(hit.kind, hit.id) for hit in find(folder, ["northgate"], "scared").hits] == [("concern", "1")]
    assert found(folder, "worried") == {"1"}
    indexer.update([document("1", "first"), document("1", "last")])
    assert found(folder, "first") == set()
    assert found(folder, "last") == {"1"}


def test_many_small_commits_lose_nothing(indexer: Indexer, tmp_path: Path) -> None:
    for number in range(60):
        indexer.update([document(f"e{number}", f"worry number{number} shared", days=number)])
        if number % 3 == 0:
            indexer.update([document("e0", f"worry number0 shared again{number}")])
    folder = tmp_path / "index"
    answer = find(folder, ["northgate"], "shared", limit=100)
    assert len(answer.hits) == 60
    assert found(folder, "again57") == {"e0"}
    assert found(folder, "again54") == set()


def test_only_the_owner_can_enter_the_folders(indexer: Indexer, tmp_path: Path) -> None:
    indexer.update([document("1", "worry")])
    for path in (tmp_path / "index", tmp_path / "index" / "northgate"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("academy", ["../elsewhere", "..", ".", "a/b", "/etc", "a.b", "\u00e9\u00e8 1", "%2E"])
def test_an_academys_id_never_leads_out_of_the_folder(indexer: Indexer, tmp_path: Path, academy: str) -> None:
    folder = tmp_path / "index"
    assert academy_folder(folder, academy).parent == folder
    assert academy_folder(folder, academy).name not in {"", ".", ".."}
    indexer.update([document("1", "worry", academy)])
    assert found(folder, "worry", academy) == {"1"}
    assert {path.name for path in tmp_path.iterdir()} == {"index"}


def test_an_index_of_another_version_or_an_emptied_folder_is_not_current(tmp_path: Path) -> None:
    indexer = Indexer(tmp_path / "index")
    assert not indexer.is_current()
    indexer.wipe()
    assert indexer.is_current()
    assert Indexer(tmp_path / "index").is_current()
    (tmp_path / "index" / "version").write_text("0")
    assert not indexer.is_current()
    indexer.wipe()
    indexer.ask_for_rebuild()
    assert not indexer.is_current()


def test_wiping_leaves_nothing_to_find_and_says_so_until_it_is_built_again(indexer: Indexer, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    indexer.update([document("1", "worry")])
    indexer.wipe()
    assert find(folder, ["northgate"], "worry").hits == ()
    assert find(folder, ["northgate"], "worry").problem == REBUILDING
    indexer.update([document("1", "worry")])
    assert find(folder, ["northgate"], "worry").problem == REBUILDING
    indexer.finish_rebuild()
    assert not is_rebuilding(folder)
    assert found(folder, "worry") == {"1"}


def break_toc(folder: Path) -> None:
    for path in folder.glob("*.toc"):
        path.write_bytes(bytes(path.stat().st_size))


def break_segment(folder: Path) -> None:
    for path in folder.glob("*.seg"):
        path.write_bytes(bytes(path.stat().st_size))


def empty_toc(folder: Path) -> None:
    for path in folder.glob("*.toc"):
        path.write_bytes(b"")


def lose_segment(folder: Path) -> None:
    for path in folder.glob("*.seg"):
        path.unlink()


def lose_toc(folder: Path) -> None:
    for path in folder.glob("*.toc"):
        path.unlink()


@pytest.mark.parametrize("damage", [break_toc, break_segment, empty_toc, lose_segment, lose_toc])
def test_a_broken_index_is_noticed_and_can_be_built_anew(indexer: Indexer, tmp_path: Path, damage) -> None:
    folder = tmp_path / "index"
    indexer.update([document("1", "worry at home"), document("2", "worry", "southgate")])
    damage(academy_folder(folder, "northgate"))
    answer = find(folder, ["northgate", "southgate"], "worry")
    assert [hit.id for hit in answer.hits] == ["2"], "what the other academy holds is still found"
    assert answer.problem == REBUILDING
    with pytest.raises(BrokenIndexError) as broken:
        indexer.check(["southgate", "northgate"])
    assert broken.value.academy_id == "northgate"
    with pytest.raises(BrokenIndexError) as broken:
        indexer.update([document("1", "worry at home")])
    indexer.throw_away(broken.value.academy_id)
    indexer.update([document("1", "worry at home")])
    indexer.finish_rebuild()
    indexer.check(["southgate", "northgate", "never seen"])
    assert found(folder, "worry", "northgate", "southgate") == {"1", "2"}


def test_a_full_disk_is_not_taken_for_a_broken_index(indexer: Indexer, tmp_path: Path) -> None:
    indexer.update([document("1", "worry")])
    script = (
        "import resource, sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path\n"
        "from tests.search.test_index import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try: Indexer(Path(sys.argv[1])).update([document('2', ' '.join(f'word{n}' for n in range(5000)))])\n"
        "except BrokenIndexError: sys.exit(3)\n"
        "except OSError: sys.exit(4)\n"
    )
    assert _run(script, tmp_path / "index").returncode == 4
    assert found(tmp_path / "index", "worry") == {"1"}
    indexer.update([document("2", "worry")])
    assert found(tmp_path / "index", "worry") == {"1", "2"}


_COMMITS_AND_DIES = """
import os, signal, sys
sys.path.insert(0, ".")
from pathlib import Path
from tests.search.test_index import Indexer, batch
folder, last = Path(sys.argv[1]), int(sys.argv[2])
seen = 0
def watch(name, arguments):
    global seen
    if name in {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"} and str(folder) in str(arguments[0]):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
indexer = Indexer(folder)
sys.addaudithook(watch)
indexer.update(batch(2))
print(seen)
"""


def batch(number: int) -> list[Document]:
    """Replaces half of the batch before and adds as many; at two academies, one of them new with each batch."""
    return [document(f"e{one}", f"shared batch{number}", days=one) for one in range(number * 5, number * 5 + 10)] + [
        document("only", "shared", f"academy{number}")
    ]


def _run(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, str(folder), *arguments], capture_output=True, text=True, timeout=120
    )


def _prepare(folder: Path) -> Indexer:
    indexer = Indexer(folder)
    indexer.wipe()
    indexer.update(batch(0))
    indexer.update(batch(1))
    indexer.finish_rebuild()
    return indexer


def test_killed_at_any_step_of_a_commit_it_stays_readable_and_can_go_on(tmp_path: Path) -> None:
    _prepare(tmp_path / "whole")
    whole = _run(_COMMITS_AND_DIES, tmp_path / "whole", "0")
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    assert steps > 20
    killed = sorted({1, 2, steps // 4, steps // 2, steps * 2 // 3, steps - 8, steps - 5, steps - 3, steps - 1, steps})
    before = {f"e{one}" for one in range(15)}
    for step in killed:
        folder = tmp_path / str(step)
        indexer = _prepare(folder)
        died = _run(_COMMITS_AND_DIES, folder, str(step))
        assert died.returncode == -signal.SIGKILL, (step, died.stdout, died.stderr)
        assert found(folder, "shared", "northgate") >= before, step
        assert found(folder, "batch2") in (set(), {f"e{one}" for one in range(10, 20)}), step
        indexer.update(batch(2))
        assert found(folder, "shared", "northgate") == before | {f"e{one}" for one in range(15, 20)}, step
        assert found(folder, "batch2") == {f"e{one}" for one in range(10, 20)}, step
        assert found(folder, "shared", "academy2") == {"only"}, step


def test_a_commit_syncs_what_it_wrote_before_it_counts(indexer: Indexer, tmp_path: Path) -> None:
    script = (
        "import os, sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path\n"
        "from tests.search.test_index import Indexer, document\n"
        "plain, log = os.fsync, []\n"
        "def fsync(handle):\n"
        "    log.append(os.path.basename(os.readlink(f'/proc/self/fd/{handle}'))); plain(handle)\n"
        "os.fsync = fsync\n"
        "sys.addaudithook(lambda name, given: log.append('rename') if name == 'os.rename' else None)\n"
        "Indexer(Path(sys.argv[1])).update([document('1', 'worry')])\n"
        "log.clear()\n"
        "Indexer(Path(sys.argv[1])).update([document('2', 'worry')])\n"
        "print(' '.join(log))\n"
    )
    log = _run(script, tmp_path / "index").stdout.split()
    at = log.index("rename")
    assert any(name.endswith(".seg") for name in log[:at])
    assert any(".toc" in name for name in log[:at])
    assert log[at + 1 :] == ["northgate"]


def test_a_searcher_opened_before_a_commit_goes_on_reading_what_it_had(indexer: Indexer, tmp_path: Path) -> None:
    indexer.update([document("1", "worry at home")])
    index = open_index(tmp_path / "index", "northgate")
    assert index is not None
    with index.searcher() as searcher:
        indexer.update([document("1", "calm now"), document("2", "worry")])
        assert [hit["key"] for hit in searcher.search(_term("home"))] == ["event:1"]
    assert found(tmp_path / "index", "home") == set()


def _term(word: str):
    from whoosh.query import Term

    return Term("text", word)


def test_the_index_does_not_keep_the_text_itself(indexer: Indexer, tmp_path: Path) -> None:
    indexer.update([document("1", "Frightened of Going Home Tonight")])
    for path in (tmp_path / "index").rglob("*"):
        if path.is_file():
            assert b"going home" not in path.read_bytes().lower()
    assert os.listdir(tmp_path / "index" / "northgate")
