"""Screens of fifteen kinds, light and dark, as HTML: what the reading room is measured on. All of it is invented."""

import random
from collections.abc import Callable

NAMES = (
    "Tamsin", "Okoro", "Bryn", "Halloway", "Priya", "Castell", "Jonah", "Marwood",
    "Esme", "Ruddock", "Kofi", "Lindale", "Aoife", "Penhale", "Dewi", "Sarkar",
)  # fmt: skip
FONTS = ("Open Sans", "Roboto", "Noto Sans", "Liberation Sans", "Lato", "DejaVu Sans")
CONCERNS = (
    "i can't do this anymore", "nobody would even notice if i went", "they are waiting for me after school",
    "i feel so alone all the time", "you had better watch your back", "i don't want to go home tonight",
    "he keeps messaging me and i'm scared", "everyone in that group hates me", "i'm so tired of pretending",
    "they said they would hurt my brother", "please don't tell my mum about this", "i cry every night now",
    "delete your account, no one likes you", "i am frightened of him", "she won't stop following me",
)  # fmt: skip
PLAIN = (
    "did you finish the maths homework", "the bus was 15 minutes late again", "can someone send me page 42 please",
    "Miss said the trip costs £12.50 each", "lol that was hilarious", "i'll bring the poster on Thursday",
    "who is on my team for rounders", "the library closes at 4:30 today", "it's raining so PE is in the hall",
    "what did you get for question 7", "i think the answer is 3.75 metres", "my phone is on 8% gotta go",
    "we could meet outside the science block", "the new level is really hard", "happy birthday for tomorrow!!",
    "don't forget your costume for the play", "I've saved it in the shared folder", "ok see you at lunch",
    "the experiment needs vinegar and chalk", "year 9 are singing in assembly", "he scored two goals yesterday",
    "that film was a bit boring tbh", "are we allowed to use a calculator", "the wifi in room B12 is terrible",
    "i left my jumper in the canteen", "volcanoes form where plates pull apart", "my cat sat on the keyboard again",
    "practise the second verse before Friday", "thank you for helping me with it", "which chapter is the quiz on",
    "idk ask Mr Pemberton", "the Tudors ruled from 1485 to 1603", "let's build the tower by the river",
    "photosynthesis turns light into sugar", "can we swap seats in French", "she plays the cello really well",
)  # fmt: skip
LONG = (
    "Rivers carry sediment downstream, and where the current slows the heavier stones are dropped first.",
    "The committee agreed that the school garden should be open during every lunch break in the summer term.",
    "Add the dry ingredients slowly, stir until smooth, and leave the mixture to rest for twenty minutes.",
    "Most of the villagers had never seen the sea, although it lay only eleven miles beyond the ridge.",
    "A prime number has exactly two factors; the number one isn't prime because it has only one.",
    "Please remember that the minibus leaves at 8:15 sharp, so arrive early with a packed lunch and a coat.",
    "In the third paragraph the narrator admits that he was wrong about his neighbour all along.",
    "Electric current is measured in amperes, and the voltage across each bulb depends on its resistance.",
    "The results were surprising: 62% of pupils preferred reading on paper, while 23% had no opinion.",
    "Several pupils asked whether the deadline could be moved, because the printer had been broken all week.",
)


class Writer:
    """Draws text for a page from the sentences above."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def name(self) -> str:
        return f"{self.rng.choice(NAMES)} {self.rng.choice(NAMES)}"

    def time(self) -> str:
        return f"{self.rng.randint(8, 21):02}:{self.rng.randint(0, 59):02}"

    def message(self) -> str:
        rng = self.rng
        text = rng.choice(CONCERNS) if rng.random() < 0.15 else rng.choice(PLAIN)
        if rng.random() < 0.4:
            text += rng.choice((", ", " and ", ". ", " ... ", " but ")) + rng.choice(PLAIN)
        if rng.random() < 0.15:
            text += rng.choice((" 😂", " 😭😭", " 👍", " ❤️"))
        return text

    def title(self) -> str:
        words = self.rng.choice(PLAIN + LONG).split()[: self.rng.randint(3, 7)]
        return " ".join(words).rstrip(",;:.").capitalize()

    def paragraph(self, sentences: int) -> str:
        return " ".join(self.rng.choice(LONG) for _ in range(sentences))

    def colour(self, light: int) -> str:
        return f"hsl({self.rng.randint(0, 359)},{self.rng.randint(45, 85)}%,{light}%)"


def icon(w: Writer, size: int = 20) -> str:
    shapes = (
        '<circle cx="12" cy="12" r="9"/><path d="M12 7v6l4 2"/>', '<path d="M4 12l8-8 8 8v8H4z"/>',
        '<circle cx="10" cy="10" r="6"/><path d="M15 15l6 6"/>', '<path d="M4 6h16M4 12h16M4 18h16"/>',
        '<path d="M12 4v16M4 12h16"/>', '<path d="M21 3L3 11l7 2 2 8z"/>', '<path d="M4 5h16v14H4z"/>',
        '<path d="M12 21C2 13 6 5 12 9c6-4 10 4 0 12z"/>',
    )  # fmt: skip
    return f'<svg width="{size}" height="{size}" viewBox="0 0 24 24">{w.rng.choice(shapes)}</svg>'


def portrait(w: Writer, size: int = 36) -> str:
    fill = f"linear-gradient({w.rng.randint(0, 180)}deg,{w.colour(45)},{w.colour(65)})"
    return f'<i style="width:{size}px;height:{size}px;border-radius:50%;background:{fill}"></i>'


def photo(w: Writer) -> str:
    """A canvas full of seeded blobs and strokes: what a photograph or a game looks like to a reader."""
    return f"""<canvas width=1920 height=1080></canvas><script>(()=>{{let s={w.rng.randint(1, 10**6)};
const r=()=>(s=(s*16807)%2147483647)/2147483647,c=document.currentScript.previousSibling,g=c.getContext("2d");
g.fillStyle=`hsl(${{r()*360}},40%,40%)`;g.fillRect(0,0,1920,1080);
for(let i=0;i<160;i++){{g.fillStyle=`hsla(${{r()*360}},50%,${{20+r()*60}}%,.5)`;g.beginPath();
g.ellipse(r()*1920,r()*1080,20+r()*220,20+r()*160,r()*6,0,7);g.fill()}}
for(let i=0;i<90;i++){{g.strokeStyle=`hsla(${{r()*360}},40%,${{20+r()*60}}%,.6)`;g.lineWidth=1+r()*9;g.beginPath();
g.moveTo(r()*1920,r()*1080);
g.bezierCurveTo(r()*1920,r()*1080,r()*1920,r()*1080,r()*1920,r()*1080);g.stroke()}}}})()</script>"""


def many(count: int, draw: Callable[[], str]) -> str:
    return "".join(draw() for _ in range(count))


def side_list(w: Writer, width: int, count: int) -> str:
    return f'<div class="panel list" style="width:{width}px">' + many(
        count,
        lambda: f"<div class='row line pad'>{portrait(w, 40)}<div class=grow><div class=row><b class=grow>{w.name()}"
        f"</b><span class=soft>{w.time()}</span></div><div class=cut>{w.message()}</div></div></div>",
    ) + "</div>"  # fmt: skip


def bubbles(w: Writer, own: str, other: str, count: int) -> str:
    def bubble() -> str:
        kind = f'own" style="background:{own}' if w.rng.random() < 0.5 else f'other" style="background:{other}'
        return f'<div class="bubble {kind}">{w.message()}<small>{w.time()}</small></div>'

    return f"<div class=bubbles>{many(count, bubble)}</div>"


def writing_bar(w: Writer) -> str:
    return f"<div class='panel bar'>{many(3, lambda: icon(w, 22))}<span class=field>Type a message</span></div>"


def two_pane_chat(w: Writer, dark: bool) -> str:
    own, other, wall = ("#005c4b", "#202c33", "#0b141a") if dark else ("#d9fdd3", "#ffffff", "#efeae2")
    return (
        f"<div class=row>{side_list(w, 380, 12)}<div class='grow full plain' style='background:{wall}'><div "
        f"class='panel row pad'>{portrait(w)}<b>{w.name()}</b>{icon(w)}{icon(w)}</div>"
        f"{bubbles(w, own, other, 24)}{writing_bar(w)}</div></div>"
    )


def colour_chat(w: Writer, dark: bool) -> str:
    pairs = (("#0084ff", "#a033ff"), ("#ff5f6d", "#ffa34d"), ("#11866b", "#3a9be0"), ("#d6249f", "#7b2ff7"))
    own = "linear-gradient(160deg,{},{});color:#fff".format(*w.rng.choice(pairs))
    head = f"<div class='row line pad'>{portrait(w, 28)}<b>{w.name()}</b></div>"
    return f"{head}{bubbles(w, own, '#303030' if dark else '#e4e6eb', 22)}{writing_bar(w)}"


def channel_chat(w: Writer, dark: bool) -> str:
    channels = many(14, lambda: f"<div class='soft pad'># {w.title().lower().replace(' ', '-')[:22]}</div>")
    talk = many(
        11,
        lambda: (
            f"<div class='row pad'>{portrait(w, 40)}<div><b style='color:{w.colour(70 if dark else 38)}'>"
            f"{w.name()}</b> "
            f"<span class=soft>Today at {w.time()}</span><div>{w.message()}</div><div>{w.message()}</div></div></div>"
        ),
    )
    members = many(16, lambda: f"<div class='row pad'>{portrait(w, 28)}{w.name()}</div>")
    return (
        f"<div class=row><div class='panel list' style='width:230px'>{channels}</div><div class=grow>{talk}</div>"
        f"<div class='panel list' style='width:220px'>{members}</div></div>"
    )


def team_chat(w: Writer, dark: bool) -> str:
    names = ("Activity", "Chat", "Teams", "Calendar", "Calls", "Files")
    rail = "".join(
        f"<div style='padding:14px 6px'>{icon(w)}<div style='font-size:10px'>{name}</div></div>" for name in names
    )
    cards = many(
        9,
        lambda: (
            f"<div class='row pad'>{portrait(w, 32)}<div class='panel card grow' style='border-left:3px solid "
            f"{w.colour(50)}'><span class=soft>{w.name()} {w.time()}</span><br><b>{w.title()}</b><br>{w.message()}<br>"
            f"<span class='soft link'>{w.rng.randint(2, 9)} replies from {w.name()}</span></div></div>"
        ),
    )
    return (
        f"<div class=row style='font-size:14px'><div class=list style='background:#4b53bc;color:#fff'>{rail}</div>"
        f"{side_list(w, 300, 14)}<div class=grow>{cards}</div></div>"
    )


def search_page(w: Writer, dark: bool) -> str:
    found = many(
        7,
        lambda: (
            f"<p><span class=soft>https://www.example-{w.rng.randint(10, 99)}.org.uk &rsaquo; pages &rsaquo; "
            f"{w.rng.choice(NAMES)}</span><br><span class=link style='font-size:20px'>{w.title()}</span><br>"
            f"{w.rng.randint(1, 28)} Mar 2024 — {w.paragraph(2)}</p>"
        ),
    )
    return (
        f"<div style='padding:20px 9%;font-size:14px'><span class=field>{w.rng.choice(CONCERNS)} {icon(w)}</span><p "
        f"class=soft>"
        f"All &nbsp; Images &nbsp; Videos &nbsp; News</p><div class=row><div style='width:620px'>{found}</div><div "
        f"class='card grow'><h3>{w.title()}</h3><p>{w.paragraph(3)}</p></div></div></div>"
    )


def document(w: Writer, dark: bool) -> str:
    notes = many(
        5, lambda: f"<div class='card plain' style='font-size:13px'><b>{w.name()}</b><div>{w.message()}</div></div>"
    )
    text = many(5, lambda: f"<p style='text-indent:20px'>{w.paragraph(3)} <u>{w.message()}</u></p>")
    return (
        f"<div class=pad style='font-size:14px'><b>{w.title()}.docx</b><br>File &nbsp; Edit &nbsp; View &nbsp; "
        f"Insert &nbsp; Tools &nbsp; Help<br>{many(16, lambda: icon(w))} 100% Arial 11</div><div class='panel row' "
        f"style='justify-content:"
        f"center'><div class=plain style='width:720px;padding:40px 70px;font:16px/1.5 Liberation Serif'><h2>"
        f"{w.title()}</h2>{text}</div><div style='width:250px'>{notes}</div></div>"
    )


def game(w: Writer, dark: bool) -> str:
    talk = many(
        12,
        lambda: (
            f"<div><span style='color:{w.colour(72)}'>[{w.rng.choice(NAMES)}{w.rng.randint(1, 99)}]</span>: "
            f"{w.message()}</div>"
        ),
    )
    state = "".join(
        f"<span class=badge>{name} {w.rng.randint(1, 900)}</span>" for name in ("Health", "Ammo", "Score", "Ping")
    )
    shade = f"#000{'a' if dark else '7'};text-shadow:1px 1px 1px #000"
    return (
        f"{photo(w)}<div class=on style='left:16px;bottom:90px;width:520px;background:{shade}'>{talk}</div><div "
        f"class=on style='right:20px;top:20px'>{state}</div><div class=on style='left:40%;top:36%;font:bold 34px "
        f"Lato;text-shadow:2px 2px 3px #000'>{w.title()}</div>"
    )


def code(w: Writer, dark: bool) -> str:
    dark_tints, light_tints = "#c586c0 #9cdcfe #ce9178 #dcdcaa #6a9955", "#af00db #001080 #a31515 #795e26 #008000"
    tints = (dark_tints if dark else light_tints).split()

    def statement(number: int) -> str:
        lines = (f"# {w.message()}", f'print("{w.title()}")', "for item in range(10):", "total = total + score")
        indent = "&nbsp;" * 4 * w.rng.randint(0, 2)
        return f"<div><s>{number}</s><span style='color:{tints[number % 5]}'>{indent}{w.rng.choice(lines)}</span></div>"

    body = "".join(statement(number) for number in range(1, 40))
    talk = many(14, lambda: f"<div class=pad><b class=link>{w.rng.choice(NAMES)}</b> {w.message()}</div>")
    return (
        f"<div class=row><div class='grow pad' style=\"font:14px/1.4 'DejaVu Sans Mono'\">{body}</div>"
        f"<div class='panel list' style='width:330px;font-size:14px'>{talk}</div></div>"
    )


def feed(w: Writer, dark: bool) -> str:
    def post(number: int) -> str:
        fill = f"linear-gradient(135deg,{w.colour(40)},{w.colour(48)})"
        shot = f"<div class=picture style='height:150px'>{photo(w)}</div>"
        told = f"<div class=pad>{w.message()}. {w.paragraph(1)}</div>{shot}"
        shown = f"<div class=banner style='background:{fill}'>{w.message()}</div>" if number % 2 else told
        answers = many(2, lambda: f"<div class='bubble panel'><b>{w.name()}</b> {w.message()}</div>")
        return (
            f"<div class='plain card'><div class=row>{portrait(w)}<div><b>{w.name()}</b><br><span class=soft>"
            f"{w.rng.randint(2, 23)} hrs ago</span></div></div>{shown}<p class=soft style='font-size:15px'>"
            f"{icon(w)} Like {icon(w)} Comment {icon(w)} Share</p>{answers}</div>"
        )

    posts = "".join(map(post, range(4)))
    people = side_list(w, 280, 9)
    return f"<div class='row panel' style='justify-content:center'>{people}<div style='width:560px'>{posts}</div></div>"


def mail(w: Writer, dark: bool) -> str:
    heads = many(
        13,
        lambda: (
            f"<div class='line pad'><div class=row><b class=grow>{w.name()}</b><span class=soft>"
            f"{w.rng.randint(1, 28)} Nov</span></div>{w.title()}<br><span class=soft>{w.message()}</span></div>"
        ),
    )
    letter = many(4, lambda: f"<p>{w.paragraph(2)} {w.message()}.</p>")
    return (
        f"<div class=row style='font-size:14px'><div class='list pad' "
        f"style='background:#0f6cbd;color:#fff;line-height:2'>Inbox "
        f"{w.rng.randint(2, 60)}<br>Drafts<br>Sent items<br>Archive</div><div class=list style='width:360px'>"
        f"{heads}</div><div class='grow pad'><h2>{w.title()}</h2><span class=soft>From {w.name()} to {w.name()}; "
        f"{w.name()}</span>{letter}<p>Kind regards,<br>{w.name()}</p></div></div>"
    )


def story(w: Writer, dark: bool) -> str:
    shade = "text-shadow:0 2px 5px #000a" if dark else "background:#000b"
    return (
        f"{photo(w)}<div class=on style='left:32%;top:4%;{shade}'>{w.name()} · {w.rng.randint(1, 20)}h</div><div "
        f"class=on style="
        f"'left:30%;width:40%;top:30%;font:bold 32px Roboto;text-align:center;{shade}'>{w.message()}</div><div "
        f"class=on style='left:32%;width:36%;bottom:16%;font-size:20px;{shade}'>{w.message()}</div><div class=on "
        f"style='left:32%;width:32%;"
        "bottom:4%;border:2px solid #fff;border-radius:20px;background:#0006'>Send message</div>"
    )


def question_page(w: Writer, dark: bool) -> str:
    turns = many(
        4,
        lambda: (
            f"<div class=bubbles><div class='bubble own panel'>{w.message()}</div></div><p>{w.paragraph(2)}</p>"
            f"<ul><li>{w.title()}</li><li>{w.title()}</li></ul>"
        ),
    )
    earlier = many(14, lambda: f"<div class=pad>{w.title()}</div>")
    return (
        f"<div class=row><div class='panel list' style='width:250px;font-size:13px'>{earlier}</div>"
        f"<div style='width:720px;margin:0 auto;font-size:16px;line-height:1.6'>{turns}</div></div>"
    )


def video(w: Writer, dark: bool) -> str:
    talk = many(
        8,
        lambda: (
            f"<div class='row pad'>{portrait(w)}<div><span class=soft>"
            f"@{w.rng.choice(NAMES).lower()}{w.rng.randint(10, 99)} "
            f"{w.rng.randint(2, 11)} months ago</span><br>{w.message()}</div></div>"
        ),
    )
    beside = many(
        9,
        lambda: (
            f"<div class='row pad'><div class=picture style='width:150px;height:84px'>{photo(w)}<span class='on "
            f"badge' style="
            f"'right:4px;bottom:4px;font-size:12px'>{w.rng.randint(1, 14)}:{w.rng.randint(10, 59)}</span></div><div><b>"
            f"{w.title()}</b><br><span class=soft>{w.name()}<br>{w.rng.randint(2, 980)}K views</span></div></div>"
        ),
    )
    return (
        f"<div class=row style='font-size:14px'><div class='grow pad'><div class=picture style='height:38vh'>"
        f"{photo(w)}</div><h2>"
        f"{w.title()}</h2><b>{w.name()}</b> <span class=button style='background:#c00'>Subscribe</span>{talk}</div>"
        f"<div class=list style='width:400px'>{beside}</div></div>"
    )


def quiz(w: Writer, dark: bool) -> str:
    colours = ("#e21b3c", "#1368ce", "#d89e00", "#26890c")
    tiles = "".join(
        f"<div class=banner style='background:{c};flex:1 1 45%'>{w.rng.choice(PLAIN)}</div>" for c in colours
    )
    marks = many(
        10,
        lambda: f"<tr><td>{w.name()}<td>{w.rng.randint(1, 100)}<td>{w.rng.randint(1, 100)}<td>{w.title()}",
    )
    return (
        f"<div style='padding:14px 60px;font-size:14px'><h1>{w.title()}</h1><p>{w.paragraph(1)}</p><div class=row "
        f"style='flex-wrap:"
        f"wrap'>{tiles}</div><table>{marks}</table><span class=button style='background:#0a7d38'>Submit "
        f"answers</span></div>"
    )


def noticeboard(w: Writer, dark: bool) -> str:
    ground = f"linear-gradient(120deg,{w.colour(25 if dark else 85)},{w.colour(40 if dark else 70)})"
    notes = many(
        24,
        lambda: (
            f"<div class=card style='width:220px;font-size:14px;background:{w.colour(30 if dark else 82)}'><b>"
            f"{w.name()}</b><p>{w.message()}</p><small>{w.rng.randint(1, 12)} likes</small></div>"
        ),
    )
    return f"<div class='row full' style='flex-wrap:wrap;align-content:flex-start;background:{ground}'>{notes}</div>"


SCREENS = (
    two_pane_chat, colour_chat, channel_chat, team_chat, search_page, document, game, code, feed, mail, story,
    question_page, video, quiz, noticeboard,
)  # fmt: skip
TEMPLATES: dict[str, Callable[[Writer, bool], str]] = {screen.__name__: screen for screen in SCREENS}

STYLE = """<style>:root{--ground:#fff;--panel:#f2f4f6;--ink:#1c1e21;--soft:#667781;--line:#dfe3e6;--link:#1a0dab}
:root.dark{--ground:#111b21;--panel:#1f2c33;--ink:#e6e9eb;--soft:#8a98a1;--line:#2c3a42;--link:#8ab4f8}
*{box-sizing:border-box}body{margin:0;height:100vh;overflow:hidden;position:relative;background:var(--ground);
color:var(--ink);font-size:15px}.row{display:flex;gap:12px}.grow{flex:1;min-width:0}.panel{background:var(--panel)}
.plain{background:var(--ground)}.list{flex:none;height:100vh;overflow:hidden}
.full{position:relative;height:100vh;overflow:hidden}
.line{border-bottom:1px solid var(--line)}.pad{padding:8px 14px}
.soft,small{color:var(--soft);font-size:12px}.link{color:var(--link)}
.cut{white-space:nowrap;overflow:hidden;color:var(--soft);font-size:13px}small{margin-left:10px;font-size:11px}
.bubbles{display:flex;flex-direction:column;gap:7px;padding:18px 5%}
.bubble{max-width:62%;padding:7px 12px;border-radius:14px;margin:2px}
.own{align-self:flex-end}.other{align-self:flex-start}.bar{position:absolute;bottom:0;left:0;right:0;padding:11px}
.field{background:var(--ground);border:1px solid var(--line);
border-radius:16px;padding:7px 40px 7px 16px;color:var(--soft)}
.card{border:1px solid var(--line);border-radius:6px;padding:10px 14px;margin:8px;height:max-content}
.badge{background:#000c;color:#fff;padding:3px 7px;margin:4px}.button{color:#fff;border-radius:14px;padding:8px 16px}
.on{position:absolute;color:#fff;padding:6px 12px;border-radius:6px}
.picture{position:relative;overflow:hidden;flex:none}
.banner{color:#fff;font-size:22px;font-weight:600;text-align:center;padding:34px 30px}
canvas{position:absolute;inset:0;width:100%;height:100%}i{flex:none;display:block}s{display:inline-block;width:44px;
color:var(--soft);text-decoration:none}
svg{fill:none;stroke:var(--soft);stroke-width:2;vertical-align:middle;margin:0 6px}
table{border-collapse:collapse;margin:20px 0;color:inherit}td{border:1px solid var(--line);padding:5px 10px}
u{text-decoration:underline wavy red}</style>"""
