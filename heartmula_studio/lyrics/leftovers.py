"""Lines around lyrics that nobody sings: credits, and what web pages put between the words."""

import json
import re

_ROLES = (
    *("词", "詞", "曲", "唱", "鼓", "唄", "歌", "歌手", "歌詞", "歌词", "작사", "작곡", "편곡", "노래"),
    *("OP", "SP", "ISRC", "Lyrics", "Lyric", "Lyricist", "Music", "Composer", "Composed", "Arranger", "Arranged"),
    *("Arrangement", "Producer", "Producers", "Produced", "Written", "Writer", "Writers", "Songwriter", "Songwriters"),
    *("Mixed", "Mixing", "Mix", "Mastered", "Mastering", "Recorded", "Recording", "Engineer", "Vocals", "Vocal"),
    *("Guitar", "Guitars", "Bass", "Drums", "Drum", "Keyboards", "Keyboard", "Piano", "Strings", "Publisher", "Label"),
    *("Copyright", "Artist", "Album", "Title", "Executive", "Co", "Additional", "Backing", "Engineers", "Programming"),
)
_EAST_ASIAN_ROLE = re.compile(  # as part of a longer one too: "母带工程师" is a mastering engineer
    r"[作填][词詞曲]|[词詞]曲|谱曲|[编編][曲写寫辑輯集]|[制製]作|[监監][制製唱]|出品|[发發]行|混音|母[带帶]|[录錄]音|和[声聲音]"
    r"|吉他|[贝貝]斯|[键鍵][盘盤]|[钢鋼]琴|弦[乐樂]|提琴|二胡|古[筝箏]|笛|[策企][划劃]|[统統][筹籌]|推广|宣发|[营營][销銷]"
    r"|版[权權]|封面|美工|文案|[后後]期|音[乐樂][总總][监監]|工程[师師]|[演原翻配]唱|プロデュース|ミックス|アレンジ"
)
_LONGEST_ROLE = 12
_ROLE_NAMES = frozenset(role.lower() for role in _ROLES)
_LONGEST_CHARS = 2000  # such a line is something else
_FILLERS = frozenset(("by", "and", "of", "the", "studio", "at"))
_CREDIT = re.compile(r"([^:：]{1,60}?) *[:：] *(\S.*)")
_BETWEEN_ROLES = re.compile(r"[\s/&、・·,，()（）|\-+]+")
_NOTICES = (
    re.compile(r"\[(?:tr|tt|fu|ro)(?::[\w-]{1,20})?\].*"),  # LRCX: a translation, word times, readings
    re.compile(r"(此歌曲为没有填词的)?纯音乐[，, ]*请您?欣赏[。.]?"),
    re.compile(r"暂无歌词[。.]?"),
    re.compile(r".{0,20}未经.{0,20}(许可|授权).{0,40}"),
    re.compile(r"(以下)?歌词(翻译)?由.{1,40}(提供|贡献)"),
    re.compile(r"You might also like", re.IGNORECASE),
    re.compile(r"\d*Embed"),
    re.compile(r"See .{1,80} LiveGet tickets as low as \$\d+"),
    re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE),
    re.compile(r"Lyrics (?:are )?(?:licensed|provided|powered)(?: (?:and|&) provided)? by .{1,60}", re.IGNORECASE),
    re.compile(  # names begin with capitals, which tells them from sung words
        r"(?:(?:Lyrics|Music|Written|Words) (?:and|&) )?(?:Produced|Composed|Arranged|Mixed|Mastered|Lyrics|Music) by "
        r"[A-Z][\w.'’-]*(?:(?:,| and| &)? [A-Z][\w.'’-]*){0,8}"
    ),
)
_HEAD = re.compile(r"\d{1,5} ?Contributors?.{0,200}? Lyrics(?=\[|$)")
_BETWEEN = re.compile(r"You might also like(?=\[)|See .{1,80} LiveGet tickets as low as \$\d+(?:You might also like)?")
_TAIL = re.compile(r"(?:(?<=\D)\d+|(?<=[a-z.!?)’'\"]))Embed$")


def is_leftover(line: str) -> bool:
    """Whether a line, without its stamps, is a credit or a notice."""
    if not line or len(line) > _LONGEST_CHARS:
        return False
    return _is_json_credit(line) or any(notice.fullmatch(line) for notice in _NOTICES) or _is_credit(line)


def without_page_marks(line: str, is_first: bool, is_last: bool) -> str:
    """Take off what a web page glued to a sung line or a section mark: "love you123Embed" is "love you"."""
    line = _BETWEEN.sub("", line)
    if is_first:
        line = line[head.end() :] if (head := _HEAD.match(line)) else line
    return _TAIL.sub("", line) if is_last else line


def _is_json_credit(line: str) -> bool:
    if not line.startswith('{"t":'):
        return False
    try:
        return isinstance(json.loads(line).get("c"), list)
    except (ValueError, RecursionError, AttributeError):
        return False


def _is_credit(line: str) -> bool:
    """A list of roles, a colon and who filled them; a word that is no role makes it a sung line."""
    credit = _CREDIT.fullmatch(line)
    if not credit:
        return False
    words = [word for word in _BETWEEN_ROLES.split(credit[1].lower()) if word]
    return any(map(_is_role, words)) and all(_is_role(word) or word in _FILLERS for word in words)


def _is_role(word: str) -> bool:
    return word in _ROLE_NAMES or (len(word) <= _LONGEST_ROLE and _EAST_ASIAN_ROLE.search(word) is not None)
