"""Lines around lyrics that nobody sings: credits, and what web pages put between the words."""

import json
import re

_ROLES = (
    *("作词", "作詞", "填词", "填詞", "词", "詞", "作曲", "谱曲", "曲", "编曲", "編曲", "词曲", "詞曲", "原唱", "翻唱"),
    *("演唱", "演唱者", "歌手", "唱", "制作人", "製作人", "制作", "製作", "监制", "監製", "出品", "出品人", "出品方"),
    *(
        "发行",
        "發行",
        "混音",
        "混音师",
        "混音師",
        "母带",
        "母帶",
        "录音",
        "錄音",
        "录音师",
        "錄音師",
        "录音棚",
        "錄音室",
    ),
    *("和声", "和聲", "和音", "吉他", "电吉他", "木吉他", "贝斯", "貝斯", "鼓", "键盘", "鍵盤", "钢琴", "鋼琴", "弦乐"),
    *(
        "弦樂",
        "小提琴",
        "大提琴",
        "二胡",
        "古筝",
        "笛子",
        "策划",
        "策劃",
        "企划",
        "企劃",
        "统筹",
        "統籌",
        "推广",
        "宣发",
    ),
    *("营销", "版权", "版權", "封面", "美工", "文案", "后期", "後期", "制作公司", "出品公司", "发行公司", "音乐总监"),
    *("监唱", "配唱", "配唱制作人", "音频编辑", "母带工程师", "混音工程师", "录音工程师", "执行制作", "项目统筹"),
    *("编曲人", "作词人", "作曲人", "人声编辑", "版权公司", "制作统筹", "音乐制作", "总监制", "总策划", "艺人统筹"),
    *("歌詞", "歌词", "唄", "歌", "작사", "작곡", "편곡", "노래", "プロデュース", "ミックス", "編集"),
    *("OP", "SP", "ISRC", "Lyrics", "Lyric", "Lyricist", "Music", "Composer", "Composed", "Arranger", "Arranged"),
    *("Arrangement", "Producer", "Producers", "Produced", "Written", "Writer", "Writers", "Songwriter", "Songwriters"),
    *("Mixed", "Mixing", "Mix", "Mastered", "Mastering", "Recorded", "Recording", "Engineer", "Vocals", "Vocal"),
    *("Guitar", "Guitars", "Bass", "Drums", "Drum", "Keyboards", "Keyboard", "Piano", "Strings", "Publisher", "Label"),
    *("Copyright", "Artist", "Album", "Title", "Executive", "Co", "Additional", "Backing", "Engineers", "Programming"),
)
_ROLE_NAMES = frozenset(role.lower() for role in _ROLES)
_LONGEST_CHARS = 2000  # such a line is something else
_FILLERS = frozenset(("by", "and", "of", "the", "studio", "at"))
_CREDIT = re.compile(r"([^:：]{1,60}?) *[:：] *(\S.*)")
_BETWEEN_ROLES = re.compile(r"[\s/&、・·,，()（）|\-+]+")
_NOTICES = (
    re.compile(r"(此歌曲为没有填词的)?纯音乐[，, ]*请您?欣赏[。.]?"),
    re.compile(r"暂无歌词[。.]?"),
    re.compile(r".{0,20}未经.{0,20}(许可|授权).{0,40}"),
    re.compile(r"(以下)?歌词(翻译)?由.{1,40}(提供|贡献)"),
    re.compile(r"You might also like", re.IGNORECASE),
    re.compile(r"\d*Embed"),
    re.compile(r"See .{1,80} LiveGet tickets as low as \$\d+"),
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
    return any(word in _ROLE_NAMES for word in words) and all(word in _ROLE_NAMES | _FILLERS for word in words)
