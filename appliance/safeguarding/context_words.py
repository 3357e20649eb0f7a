"""The words by which the rules of ``context`` tell a lesson, a song, a game, a quotation and a disclosure apart.

Lists to argue with: each is matched in lower case with plain apostrophes.
"""

import re

_APOSTROPHE = "'?"


def _any(*alternatives: str) -> "re.Pattern[str]":
    """One pattern of whole words; an apostrophe may always be missing, as pupils write."""
    return re.compile(r"\b(?:" + "|".join(alternatives).replace("'", _APOSTROPHE) + r")\b")


_KIN = (
    "(?:step ?)?(?:mum|mums|mam|mom|mummy|dad|dads|daddy|father|mother|brother|bro|sister|uncle|auntie?|cousin|nan|nana"
    "|grandad|granddad|grandpa|carer|foster (?:mum|dad|carer)|boyfriend|girlfriend|bf|gf|ex|coach|tutor|teacher)"
)

DISCLOSURE = re.compile(
    r"\b(?:"
    + "|".join(
        [
            rf"(?:my|our) {_KIN}",
            rf"{_KIN}(?:'?s)? (?:hit|hits|hitting|hurt|hurts|touch|touched|touches|threw|throws|locked|locks|shouts?|"
            r"screams?|drinks?|drunk|gets (?:angry|mad)|said he|said she|says he|says she)",
            r"(?:scared|afraid|frightened|terrified|dont want|don't want|cant|can't) (?:to )?(?:go|going|be|stay) "
            r"(?:back )?home",
            r"i (?:really )?(?:want|wanna|wish i (?:could|was)|wanted) (?:to )?"
            r"(?:die|dead|disappear|not be here|end it)",
            r"(?:kill|hurt|cut|cutting|harm|harming|starve|starving) (?:my ?self)",
            r"(?:i|i'?m|ive|i'?ve) (?:been )?(?:cut|cutting|self ?harm\w*|starving|overdos\w+)",
            r"i (?:dont|don't) (?:want to|wanna) (?:be (?:here|alive)|live|wake up|exist)",
            r"(?:cant|can't|cannot) (?:do this|cope|go on|take (?:this|it)|keep (?:myself )?safe)",
            r"(?:hits|hit|hurts|hurt|touches|touched|follows|followed|threatens|threatened|forces|forced|made|makes)"
            r" me",
            r"(?:please|pls) (?:dont|don't) tell",
            r"(?:dont|don't) tell (?:any ?one|mum|dad|my|the teacher|sir|miss)",
            r"(?:i )?need (?:some )?help (?:with|because|please)? ?(?:my|me|at home)",
            r"(?:nobody|no one|no1) (?:would|will) (?:care|notice|miss me)",
            r"(?:sent|send|sending|asked for|wants|want) (?:him|her|me|them)? ?(?:pics?|pictures?|photos?|nudes?)",
        ]
    )
    + r")\b"
)
"""What sounds like somebody telling of themselves. Where it is, nothing lowers the level."""

REPORTED_SPEECH = re.compile(
    rf"\b(?:he|she|they|someone|some1|this (?:guy|man|boy|girl|person)|{_KIN})(?:'?s)? "
    r"(?:keeps? (?:on )?(?:saying|texting|messaging)|said|says|told|tells|texted|messaged|wrote|sent|shouted|goes|went"
    r"|was like|is like)\b"
)
"""What somebody said to the pupil: to be taken at its word, quotation marks or not."""

QUOTED = re.compile(r"(?:\"[^\"]{8,}\"|^> ?.+$)", re.M)
SOURCE_NAMED = re.compile(
    r"\b(?:act (?:\d|[ivx]+),? sc(?:ene)? (?:\d|[ivx]+)|chapter (?:\d+|[ivx]+)|stanza \d|line \d+|lines \d+|page \d+"
    r"|according to the (?:article|text|source|author|report)|source [a-e]\b"
    r"|(?:shakespeare|dickens|priestley|steinbeck|orwell|golding|stevenson|owen|blake|heaney)"
    r" (?:writes|wrote|says|uses))"
    r"|\((?:pg?\.? ?\d+|\d{4})\)"
)

LESSON = _any(
    "essay", "coursework", "homework", "worksheet", "gcse", "a[- ]levels?", "btec", "revision", "revise", "mark scheme",
    "paragraphs?", "peel?", "topic sentence", "thesis statement",
    "(?:explain|describe|analyse|evaluate|compare) (?:how|why|the|two)",
    "in the (?:play|poem|novel|book|extract|film|story|text|source)", "the (?:writer|author|poet|playwright|narrator)",
    "(?:for|in) (?:my|our) (?:english|history|maths|science|biology|chemistry|physics|geography|re|pshe|drama|art"
    "|psychology|sociology|computing|food tech|citizenship)"
    " ?(?:lesson|class|homework|project|essay|exam|test|presentation|assessment)?",
    "macbeth", "lady macbeth", "romeo", "juliet", "hamlet", "jekyll", "scrooge", "an inspector calls",
    "lord of the flies",
    "animal farm", "frankenstein", "of mice and men", "blood brothers", "world war (?:one|two|1|2)", "ww[12]",
    "holocaust",
    "henry viii", "anne boleyn", "battle of", "treaty of", "photosynthesis", "mitosis",
)  # fmt: skip
LESSON_PLACE = re.compile(
    r"bbc\.co\.uk/bitesize|bitesize|senecalearning|sparknotes|litcharts|britannica|wikipedia\.org|kahoot|quizlet"
    r"|mymaths|hegartymaths|sparxmaths|sparx (?:maths|reader)|educake|tassomai|thenational\.academy|oak national"
    r"|satchelone|showmyhomework|classroom\.google|google classroom|century\.tech|blooket|gimkit|physicsandmathstutor"
    r"|\bessay\b|\bcoursework\b|\bworksheet\b|\bhomework\b|\brevision\b|\blesson\b"
)

SONG = re.compile(
    r"\blyrics?\b|\b(?:the|this|that|my (?:fav|favourite)) (?:song|track|tune)\b|\bsong by\b|\bfeat\."
    r"|\(chorus\)|\[chorus\]|\[verse ?\d?\]|\bverse (?:one|two|\d)\b|[♪♫🎵🎶]"
)
MUSIC_PLACE = re.compile(r"spotify|genius\.com|azlyrics|music\.youtube|youtube music|soundcloud|lyrics|musixmatch")

GAME = _any(
    "respawn\\w*", "spawn(?:ed|ing)?", "lobby", "boss fight", "final boss", "headshots?", "1v1", "2v2", "gg", "noobs?",
    "killstreak", "k/d", "xp", "nerf(?:ed)?", "fortnite", "minecraft", "roblox", "creeper", "valorant", "among us",
    "fifa", "ranked", "loadout", "battle royale", "victory royale", "npc", "skins?", "side quest", "the last level",
    "ult", "dps", "healer", "in game", "on the game", "in the game",
)  # fmt: skip
PLAY_PLACE = re.compile(
    r"minecraft|roblox|fortnite|steam\b|epic games|coolmathgames|poki\.|friv|valorant|krunker|chess\.com|lichess"
    r"|scratch\.mit|crazygames|itch\.io"
)

NEGATION = re.compile(
    r"\b(?:i|i'?d|i'?m|we|we'?re|he|she|they) ?(?:would|will|am|are|is|do|did|'?ll)? ?"
    r"(?:never|not|wouldn'?t|won'?t|didn'?t|isn'?t|ain'?t|am not|m not)"
    r" (?:ever |actually |really |going to |gonna |want to |wanna |being |trying to )*"
    r"(?:kill|hurt|stab|punch|fight|hit|bully|bullying|hate|racist|sexist|drink|smoke|vape|take drugs|gamble|bet|hack"
    r"|sell|buy|send)\w*\b"
)
"""Only plain denials of doing something to others or of a habit; "i don't want to live" is none."""

OTHER_PERSON = re.compile(
    r"\b(?:my (?:best )?(?:friend|mate|m8|bestie|bff|classmate)|(?:this|a) (?:girl|boy|kid|lad|person) (?:in|from|at)"
    r"|someone in (?:my|our)|some1 in (?:my|our)|asking for a friend|her mum|his mum|her dad|his dad)\b"
)

HELPLINE = re.compile(
    r"childline|samaritans|papyrus|giveusashout|\bshout 85258|nspcc|youngminds|themix\.org|kooth|beateatingdisorders"
    r"|talktofrank|ceop|thinkuknow|nationalbullyinghelpline|refuge\.org|womensaid|switchboard\.lgbt"
)
STRANGERS_PLACE = re.compile(
    r"omegle|chatroulette|ometv|ome\.tv|emeraldchat|chathub|tellonym|ngl\.link|sarahah|\bwizz\b|\byubo\b|monkey\.app"
    r"|kik messenger|random chat|talk to strangers"
)

_WHO = (
    "muslim muslims islam islamic hijab mosque quran ramadan eid imam christian christians catholic church jesus "
    "bible jewish jew jews judaism synagogue hindu hindus hinduism temple sikh sikhs sikhism gurdwara turban buddhist "
    "atheist religion religious faith prayer prayers allah god gay lesbian bi bisexual trans transgender queer "
    "pansexual asexual lgbt lgbtq lgbtqia pride nonbinary non-binary enby genderfluid pronouns straight black white "
    "asian african caribbean nigerian somali ghanaian jamaican indian pakistani bangladeshi bengali punjabi chinese "
    "polish romanian roma gypsy traveller travellers irish welsh scottish arab turkish kurdish ukrainian syrian "
    "afghan refugee refugees immigrant immigrants migrant migrants mixed race ethnicity ethnic minority disabled "
    "disability autistic autism adhd dyslexic dyslexia deaf blind wheelchair sen send tourettes"
)
IDENTITY = frozenset(_WHO.split())
"""Words that say who somebody is. Slurs are not among them."""

_PLAIN = (
    "a an the i i'm im me my mine we we're our us you your he she they them their it its is am are was were be been "
    "being do does did have has had and or but so because if in on at to of for from with about as that this these "
    "those there here who what when where why how not no yes very really just also too all some any every each our "
    "people person someone family friend friends school day today"
)
PLAIN_WORDS = frozenset(_PLAIN.split())
"""Words that say nothing by themselves, passed over when it is asked what moved a score."""
