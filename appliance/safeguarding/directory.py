"""What the trust's own directory says of a person, and the reasons for which the box does not let them in.

A directory only says who somebody is. That they may come in, and what they may see, is decided here by their account
and its roles; nobody gets an account by being in a directory.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

SIGN_IN_LASTS = timedelta(minutes=10)
"""How long somebody may take at the directory's own sign-in page before they must begin anew."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as the directory knows them, after it has checked that it is them.

    issuer and subject together name one account for good: the subject is an id the directory never gives to another
    person. emails: the addresses the directory vouches for, none when it vouches for none. second_factor: the
    directory asked for more than a password, and the trust has set that this counts. once: a value that belongs to
    this one sign-in, empty where nothing of it can be sent a second time.
    """

    issuer: str
    subject: str
    emails: tuple[str, ...]
    second_factor: bool = False
    once: str = ""


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """A sign-in that was begun and sent to the directory's own page: what its answer must fit to.

    state and nonce: what the directory must send back unchanged. verifier: the secret of PKCE (RFC 7636), at least 43
    letters. begun_at: aware datetime.
    """

    state: str
    nonce: str
    verifier: str
    begun_at: datetime


class Refusal(StrEnum):
    """Why a sign-in through the directory was refused. ``REFUSALS`` holds its words."""

    STATE = "state"
    LATE = "late"
    CANCELLED = "cancelled"
    CODE = "code"
    SIGNATURE = "signature"
    ALGORITHM = "algorithm"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NONCE = "nonce"
    TOKEN = "token"  # noqa: S105 a word, not a secret
    REPLAYED = "replayed"
    PASSWORD = "password"  # noqa: S105
    AMBIGUOUS = "ambiguous"
    DIRECTORY_DISABLED = "directory_disabled"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105
    UNVERIFIED = "unverified"
    UNKNOWN = "unknown"
    DISABLED = "disabled"
    OTHER_ACCOUNT = "other_account"
    INVITED = "invited"
    UNREACHABLE = "unreachable"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class RefusalInfo:
    """The words for a refusal. reason: what happened. advice: what the person, or the one they ask, can do."""

    reason: str
    advice: str


_AGAIN = "Go back to the sign-in page and begin once more."
_CHECK_FAILED = (
    "Begin once more. If it happens again, tell your technician today and name the reason above: it should never happen"
    " while the directory is set up as it should be."
)
_LEAD = "Ask your trust's safeguarding lead"

REFUSALS: dict[Refusal, RefusalInfo] = {
    Refusal.STATE: RefusalInfo("The directory's answer does not belong to a sign-in that was begun here.", _AGAIN),
    Refusal.LATE: RefusalInfo("The sign-in took longer than ten minutes.", _AGAIN),
    Refusal.CANCELLED: RefusalInfo(
        "Your directory did not sign you in.",
        "You may have cancelled, your account there may be switched off, or it may not be allowed to use Trustkeep."
        " Your technician can see which in the directory.",
    ),
    Refusal.CODE: RefusalInfo("Your directory did not accept its own sign-in code: it can be used only once.", _AGAIN),
    Refusal.SIGNATURE: RefusalInfo("The signature of the directory's answer is wrong.", _CHECK_FAILED),
    Refusal.ALGORITHM: RefusalInfo(
        "The directory's answer is not signed in a way that the box accepts.", _CHECK_FAILED
    ),
    Refusal.ISSUER: RefusalInfo("The answer came from another directory than the trust's own.", _CHECK_FAILED),
    Refusal.AUDIENCE: RefusalInfo("The directory's answer was made for another program.", _CHECK_FAILED),
    Refusal.EXPIRED: RefusalInfo("The directory's answer had expired.", _CHECK_FAILED + " Check both clocks."),
    Refusal.NONCE: RefusalInfo("The directory's answer belongs to another sign-in.", _CHECK_FAILED),
    Refusal.TOKEN: RefusalInfo("The directory's answer is incomplete or can't be read.", _CHECK_FAILED),
    Refusal.REPLAYED: RefusalInfo("This answer of the directory was used before.", _AGAIN),
    Refusal.PASSWORD: RefusalInfo(
        "That name and password do not belong together.",
        "Check both and try again. It is the password of your school account.",
    ),
    Refusal.AMBIGUOUS: RefusalInfo(
        "The directory knows more than one account by that name.", "Use your e-mail address, or ask your technician."
    ),
    Refusal.DIRECTORY_DISABLED: RefusalInfo(
        "Your account in the trust's directory is switched off or locked.", "Ask your technician."
    ),
    Refusal.PASSWORD_EXPIRED: RefusalInfo(
        "Your password in the trust's directory has run out.", "Change it at a school computer, then sign in here."
    ),
    Refusal.UNVERIFIED: RefusalInfo(
        "Your directory does not vouch for your e-mail address, and the box does not know you yet.",
        "Ask your technician to have the directory say that the address is verified (docs/directories.md).",
    ),
    Refusal.UNKNOWN: RefusalInfo(
        "Your directory knows you, but there is no Trustkeep account for your e-mail address.",
        f"{_LEAD} to invite you. Being in the directory does not make an account here.",
    ),
    Refusal.DISABLED: RefusalInfo(
        "Your Trustkeep account is switched off.", f"{_LEAD} whether it should be switched on again."
    ),
    Refusal.OTHER_ACCOUNT: RefusalInfo(
        "The Trustkeep account with your e-mail address belongs to another account of the directory.",
        f"{_LEAD} to check who you are. A technician can then loosen the old tie (appliance directory unlink).",
    ),
    Refusal.INVITED: RefusalInfo(
        "Your Trustkeep account waits for you to use the sign-in link that was made for it.",
        f"Use that link once; from then on your school account works here. If you have no link, or it has expired:"
        f" {_LEAD[0].lower()}{_LEAD[1:]} for a new one.",
    ),
    Refusal.UNREACHABLE: RefusalInfo(
        "The trust's directory does not answer.",
        "Try again in a few minutes. If you have a password of your own for Trustkeep, you can sign in with that."
        " A child at risk does not wait for the box: use the telephone.",
    ),
    Refusal.SETTINGS: RefusalInfo(
        "The box and the trust's directory do not fit together as they are set up.",
        "Tell your technician: appliance directory check says what is wrong.",
    ),
}


class DirectoryRefusedError(Exception):
    """A sign-in through the directory was refused. detail: for the technician, of one line, with no secret in it."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(f"{refusal}: {detail}" if detail else str(refusal))
        self.refusal, self.detail = refusal, detail


def usable_emails(identity: Identity) -> tuple[str, ...]:
    """The vouched-for addresses by which an account may be found, as accounts are kept: in small letters.

    Only plain ASCII: letters of other scripts can turn into ours when made small, and would then be another's address.
    """
    found = (email.strip().lower() for email in identity.emails if email.isascii())
    return tuple(dict.fromkeys(email for email in found if 3 <= len(email) <= 254 and email.count("@") == 1))
