"""The one command line of the box: ``appliance VERB``. Each verb says in its help what it does and when to use it."""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from appliance import __version__
from appliance.config import Config, SettingsError, load_config
from appliance.log import start_log


def main(arguments: list[str] | None = None) -> int:
    """Run one verb. Returns the exit code: 0 done, 1 something was found wrong, 2 it could not be done."""
    options = _parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        return verb(options)
    except BrokenPipeError:
        # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if line := _plain(error):
            print(f"appliance: {line}", file=sys.stderr)
            return 2
        raise


def _plain(error: Exception) -> str | None:
    """One clear line for an error a technician can act on; None for one that is a fault of the program."""
    from appliance.safeguarding.installation import InstallationError
    from appliance.start import StartError
    from appliance.store.connection import StoreError

    if isinstance(error, SettingsError | StoreError | StartError | InstallationError):
        return str(error)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="appliance",
        description="The Trustkeep box. Its settings are in trustkeep.toml in its home folder (docs/settings.md).",
    )
    parser.add_argument("--version", action="version", version=f"trustkeep {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    def add(name: str, verb: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
        sub.set_defaults(verb=verb)
        return sub

    add("run", _run, "start the whole box and keep it running until Ctrl-C: broker, ingest, workers, portal")
    add("ingest", _ingest, "take in what devices report (one of the programs that run starts)")
    worker = add("worker", _worker, "read and score events, tell DSLs, keep the search index (started by run)")
    worker.add_argument("--number", type=int, default=0, help="which worker this is, from 0")
    add("web", _web, "serve the portal on a local socket behind the TLS front (started by run)")
    add("migrate", _migrate, "bring the database's schema up to this version; safe to repeat")
    add("reindex", _reindex, "make the search index anew from the database; nothing is lost by it")
    read = add("read", _read, "read the text of screenshots; needs no running box")
    read.add_argument("images", nargs="+", metavar="IMAGE", help="a WebP, PNG or JPEG file")
    read.add_argument("--json", action="store_true", help="one JSON object a line, with words, boxes and confidence")
    read.add_argument("--languages", default="eng", help="Tesseract's names joined by +, such as eng+cym")
    score = add("score", _score, "score texts from standard input; needs no running box")
    score.add_argument("--jsonl", action="store_true", required=True, help='lines of {"id", "text"} in, scores out')
    evaluate = add("evaluate", _evaluate, "score a file of labelled texts and say how good the scores are")
    evaluate.add_argument("file", type=Path, metavar="FILE", help='lines of {"text", "category", "severity"} and more')
    evaluate.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    evaluate.add_argument("--plot", type=Path, metavar="FILE.svg", help="also draw how far scores can be believed")
    languages = add("languages", _languages, "show or choose the languages in which an academy's screens are read")
    languages.add_argument("academy", nargs="?", help="the academy's id; none: show all academies")
    languages.add_argument("codes", nargs="?", metavar="CODES", help="Tesseract's names joined by +, such as pol+urd")
    verify = add("verify-audit", _verify_audit, "check that the audit trail is whole, and name the first broken entry")
    verify.add_argument("--anchor", action="store_true", help="print the head hash, to be kept elsewhere")
    enrol = add("enrol", _enrol, "enrol a device: sign its certificate request")
    enrol.add_argument("device_id", help="the device's id, as in its request")
    enrol.add_argument("--academy", required=True, help="the id of the academy it belongs to")
    enrol.add_argument("--request", type=Path, required=True, help="the request the device made (PEM)")
    enrol.add_argument("--out", type=Path, required=True, help="where to write its certificate")
    enrol.add_argument("--place", default="", help="where the device is kept")
    code = add("enrolment-code", _enrolment_code, "print a code by which one device enrols itself; it works once")
    code.add_argument("--academy", required=True, help="the id of the academy it belongs to")
    code.add_argument("--place", default="", help="where the device is kept")
    code.add_argument("--prefix", default="", help="what its id begins with; the academy's short name without it")
    code.add_argument("--hours", type=float, default=24, help="how long the code works: 24 hours")
    revoke = add("revoke", _revoke, "shut a device out, at once and for good")
    revoke.add_argument("device_id", help="the device's id, as on the page of devices")
    issue = add("issue-policy", _issue_policy, "sign a policy for an academy and send it to its devices")
    issue.add_argument("file", type=Path, metavar="FILE", help="the draft (JSON; docs/devices.md)")
    issue.add_argument("--academy", required=True, help="the id of the academy it is for")
    link = add("setup-link", _setup_link, "print the link by which a trust's first lead makes their account")
    link.add_argument("--trust", metavar="ID", help="which trust, where the box holds several")
    link.add_argument("--for", dest="email", metavar="EMAIL", help="a new link for one person who is locked out")
    directory = add("directory", _directory, "the trust's own directory, by which people may sign in: try it, or untie")
    directory.add_argument("what", choices=["check", "unlink"], help="try whether it answers; or untie a person")
    directory.add_argument("email", nargs="?", help="with unlink: the person's e-mail address in the portal")
    gias = add("import-gias", _import_gias, "add a trust's academies from a GIAS download, or bring them up to date")
    gias.add_argument("file", type=Path, metavar="FILE", help="edubasealldata….csv")
    gias.add_argument("--trust", required=True, metavar="CODE", help="the trust's code in the file: Trusts (code)")
    gias.add_argument("--into", metavar="ID", help="a trust that is on the box already, where it has no code yet")
    gias.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    mis = add("import-mis", _import_mis, "take in a file from a school's MIS: pupils, contacts, attendance, behaviour")
    mis.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a CTF, OneRoster zip, Wonde JSON or CSV")
    mis.add_argument("--academy", metavar="ID", help="the academy it is of: its id, LAESTAB or URN")
    mis.add_argument("--trust", metavar="ID", help="for a file of a whole trust whose rows name their academy")
    mis.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    mis.add_argument("--whole-roll", action="store_true", help="the file names everybody: who is missing has left")
    mis.add_argument("--undo", metavar="IMPORT", help="undo a whole import, by the id that it was given")
    return parser


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    return stop


def _run(_options: argparse.Namespace) -> int:
    from appliance.start import run_box, say_setup_link

    config = load_config()
    return run_box(config, [], lambda: say_setup_link(config))


def _setup_link(options: argparse.Namespace) -> int:
    from appliance.start import make_invitation_link, make_setup_link

    config = load_config()
    _require_database(config)
    link = make_invitation_link(config, options.email) if options.email else make_setup_link(config, options.trust)
    if link is None:
        why = (
            f"there is nobody with the address {options.email!r}"
            if options.email
            else "it has a safeguarding lead already"
        )
        print(f"appliance: {why}. Invite others in the portal; --for EMAIL lets one in anew.", file=sys.stderr)
        return 1
    print(link)
    return 0


def _ingest(_options: argparse.Namespace) -> int:
    from appliance.broker.subscriber import run_ingest

    run_ingest(load_config(), _stop_on_signal(), start_log("ingest"))
    return 0


def _worker(options: argparse.Namespace) -> int:
    from appliance.worker import run_worker

    run_worker(load_config(), options.number, _stop_on_signal(), start_log("worker"))
    return 0


def _web(_options: argparse.Namespace) -> int:
    from appliance.broker.desk import Desk
    from appliance.web.serve import serve

    config = load_config()
    serve(config, start_log("portal"), Desk(config).answer)
    return 0


def _migrate(_options: argparse.Namespace) -> int:
    from appliance.start import prepare

    done = prepare(load_config())
    print("\n".join(f"applied {name}" for name in done) or "The database is up to date.")
    return 0


def _reindex(_options: argparse.Namespace) -> int:
    from appliance.indexing import reindex

    reindex(load_config(), start_log("reindex"))
    return 0


def _read(options: argparse.Namespace) -> int:
    from appliance.ocr import Reader
    from appliance.ocr.command import read_files

    reader = Reader(tuple(options.languages.split("+")))
    return read_files([Path(image) for image in options.images], reader, sys.stdout, as_json=options.json)


def _score(_options: argparse.Namespace) -> int:
    from appliance.scoring.command import score_lines
    from appliance.scoring.scorer import Scorer

    return score_lines(sys.stdin, Scorer(), sys.stdout)


def _evaluate(options: argparse.Namespace) -> int:
    from appliance.scoring.evaluate import evaluate_file
    from appliance.scoring.scorer import Scorer

    return evaluate_file(options.file, Scorer(), sys.stdout, as_json=options.json, plot=options.plot)


def _languages(options: argparse.Namespace) -> int:
    from appliance.languages import choose_languages, show_languages

    config = load_config()
    _require_database(config)
    if options.academy is None or options.codes is None:
        return show_languages(config, options.academy, print)
    return choose_languages(config, options.academy, options.codes, datetime.now(UTC), print)


def _verify_audit(options: argparse.Namespace) -> int:
    from appliance.store.audit import check_chain, get_head
    from appliance.store.connection import open_system
    from appliance.store.migrations import require_current

    config = load_config()
    _require_database(config)
    db = open_system(config.database)
    require_current(db)
    seq, digest = get_head(db)
    if options.anchor:
        print(json.dumps({"entries": seq, "head": digest}))
    if fault := check_chain(db):
        print(f"The audit trail is broken: {fault.reason}.")
        return 1
    print(f"The audit trail is whole: {seq} entries.", file=sys.stderr if options.anchor else sys.stdout)
    return 0


def _enrol(options: argparse.Namespace) -> int:
    from appliance.start import enrol_from_request

    config = load_config()
    _require_database(config)
    enrol_from_request(config, options.device_id, options.academy, options.request, options.out, options.place)
    print(f"{options.device_id} is enrolled; its certificate is in {options.out}")
    return 0


def _enrolment_code(options: argparse.Namespace) -> int:
    from appliance.devices import make_code

    config = load_config()
    _require_database(config)
    if not 0 < options.hours <= 24 * 31:
        raise SettingsError("--hours: a time of up to 31 days is expected")
    print(make_code(config, options.academy, options.place, options.prefix, options.hours))
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from appliance.devices import shut_out

    config = load_config()
    _require_database(config)
    shut_out(config, options.device_id)
    print(f"{options.device_id} is revoked. A running box has it in effect within seconds.")
    return 0


def _issue_policy(options: argparse.Namespace) -> int:
    from appliance.devices import issue_from_file

    config = load_config()
    _require_database(config)
    policy = issue_from_file(config, options.academy, options.file)
    print(f"Policy {policy.number} ({policy.version}) is in force, until {policy.expires_at:%d %B %Y}.")
    return 0


def _directory(options: argparse.Namespace) -> int:
    from appliance.directory.command import check_directories
    from appliance.untie import untie

    config = load_config()
    if options.what == "check":
        return check_directories(config, datetime.now(UTC), print)
    _require_database(config)
    return untie(config, options.email or "", datetime.now(UTC), print)


def _import_gias(options: argparse.Namespace) -> int:
    from appliance.gias import import_gias

    config = load_config()
    _require_database(config)
    return import_gias(config, options.file, options.trust, options.into, options.dry_run, datetime.now(UTC), print)


def _import_mis(options: argparse.Namespace) -> int:
    from appliance.imports import import_mis, undo

    config, now = load_config(), datetime.now(UTC)
    _require_database(config)
    if options.undo:
        return undo(config, options.undo, now, print)
    if options.file is None:
        print("appliance: name the file, or --undo with an import's id.", file=sys.stderr)
        return 2
    where = (options.academy, options.trust)
    return import_mis(config, options.file, *where, options.dry_run, options.whole_roll, now, print)


def _require_database(config: Config) -> None:
    from appliance.store.connection import StoreError

    if not config.database.exists():
        raise StoreError(f"There is no database in {config.data}. Start the box once, or set TRUSTKEEP_HOME.")


if __name__ == "__main__":
    sys.exit(main())
