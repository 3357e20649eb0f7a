"""Levels and categories, with the written criteria that a moderator sees beside the buttons.

The grid is the trust's own to argue with: five levels after the field's common practice (5 = act now), and
categories after the UK Safer Internet Centre's *Appropriate Monitoring* list (2023 form, 2024-25 additions),
KCSIE's four Cs (content, contact, conduct, commerce) and what DSLs add in practice.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """How serious an event is. 5 = act now; 1 = no risk by itself."""

    NOISE = 1
    LOW = 2
    CREDIBLE = 3
    SERIOUS = 4
    IMMEDIATE = 5


LEVEL_CRITERIA: dict[Severity, str] = {
    Severity.IMMEDIATE: "Life, serious harm or crime now. Tell the DSL at once; nobody waits for a second reader.",
    Severity.SERIOUS: "Serious, likely, soon: a disclosure, a plan, or an adult who should not be in contact.",
    Severity.CREDIBLE: "A credible concern that a DSL should read today.",
    Severity.LOW: "Low or ambiguous. Worth keeping in sight in case it repeats.",
    Severity.NOISE: "Noise, or one mild thing that is no risk by itself.",
}


class Category(StrEnum):
    """What an event is about. The value is what is stored and exported; ``CATEGORIES`` holds the words shown."""

    NONE = "none"
    SELF_HARM = "self_harm"
    ABUSE = "abuse"
    EATING_DISORDER = "eating_disorder"
    DRUGS = "drugs"
    GROOMING = "grooming"
    BULLYING = "bullying"
    HATE = "hate"
    VIOLENCE = "violence"
    EXTREMISM = "extremism"
    SEXUAL = "sexual"
    PERSONAL_DATA = "personal_data"
    GAMBLING = "gambling"
    MISINFORMATION = "misinformation"
    HACKING = "hacking"
    PROFANITY = "profanity"


@dataclass(frozen=True, slots=True)
class CategoryInfo:
    """The words for one category.

    profile: the monitoring field's wider heading that a DSL knows it by ("Vulnerable Person").
    always_read: a person reads every event of it, at any level.
    """

    title: str
    profile: str
    four_c: str
    always_read: bool = False


CATEGORIES: dict[Category, CategoryInfo] = {
    Category.NONE: CategoryInfo("No concern", "None", ""),
    Category.ABUSE: CategoryInfo("Abuse or neglect", "Vulnerable Person", "contact", True),
    Category.SELF_HARM: CategoryInfo("Self-harm or suicide", "Vulnerable Person", "content, conduct", True),
    Category.EATING_DISORDER: CategoryInfo("Eating disorder", "Vulnerable Person", "content", True),
    Category.DRUGS: CategoryInfo("Drugs or alcohol", "Vulnerable Person", "conduct", True),
    Category.GROOMING: CategoryInfo("Grooming or exploitation", "Grooming", "contact", True),
    Category.EXTREMISM: CategoryInfo("Extremism", "Extremism", "content", True),
    Category.BULLYING: CategoryInfo("Bullying", "Bullying", "conduct"),
    Category.HATE: CategoryInfo("Hate or discrimination", "Bullying", "conduct"),
    Category.VIOLENCE: CategoryInfo("Violence or weapons", "Violence", "content, conduct"),
    Category.SEXUAL: CategoryInfo("Sexual content", "Sexual content", "content, conduct"),
    Category.PERSONAL_DATA: CategoryInfo("Personal data", "Oversharer", "conduct, contact"),
    Category.GAMBLING: CategoryInfo("Gambling or scams", "General Risk", "commerce"),
    Category.MISINFORMATION: CategoryInfo("Mis- or disinformation", "General Risk", "content"),
    Category.HACKING: CategoryInfo("Hacking or bypass", "General Risk", "conduct"),
    Category.PROFANITY: CategoryInfo("Offensive language", "Offensive User", "conduct"),
}


def category_label(category: Category) -> str:
    """The words a person sees: the field's heading first, ours after it ("Vulnerable Person: Abuse or neglect")."""
    info = CATEGORIES[category]
    said_already = info.title.startswith(info.profile) or category is Category.NONE
    return info.title if said_already else f"{info.profile}: {info.title}"
