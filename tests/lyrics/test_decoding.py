"""P9: lyrics files in national encodings are read right or refused by name, never as other letters."""

import os

import pytest

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.lyrics.decoding import MAX_LYRICS_BYTES, decode_lyrics, read_lyrics, read_lyrics_file

CHINESE = "[00:01.00]我曾经跨过山和大海\n[00:05.00]也穿过人山人海\n我曾经拥有着的一切\n转眼都飘散如烟\n"
TRADITIONAL = "我曾經跨過山和大海\n也穿過人山人海\n我曾經擁有著的一切\n轉眼都飄散如煙\n"
JAPANESE = "夢ならばどれほどよかったでしょう\n未だにあなたのことを夢にみる\n忘れた物を取りに帰るように\n"
KOREAN = "그대여 아무 걱정하지 말아요\n우리 함께 노래합시다\n지나간 것은 지나간 대로\n"
RUSSIAN = "Белая береза под моим окном\nПринакрылась снегом точно серебром\n"
POLISH = "Gdzieś tam daleko jest łąka zielona\nI żółte kwiaty rosną wśród traw\nChodź ze mną\n"
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy\nKdyž jsem byl malý, říkal mi tatínek\n"
HUNGARIAN = "Tavaszi szél vizet áraszt, virágom, virágom\nMinden madár társat választ, őszi szűz\n"
GERMAN = "[Vers]\nSüße Träume über dem grünen Wald\nIch möchte für dich da sein\n"
FRENCH = "Je ne regrette rien, ni le bien qu'on m'a fait\nL'été où tu étais là, ça m'est égal\ntrès\n"
SPANISH = "¿Qué será, mañana?\nBésame, bésame mucho\ncomo si fuera esta noche la última vez\n"
ENGLISH = "Don’t look “back”\nI’m fine…\n"

CASES = [
    *[(CHINESE, "gbk"), (CHINESE, "gb18030"), (CHINESE[:60], "gbk"), (TRADITIONAL, "big5"), (TRADITIONAL, "gb18030")],
    *[(JAPANESE, "shift_jis"), (JAPANESE, "cp932"), (JAPANESE, "euc_jp"), (KOREAN, "euc_kr"), (KOREAN, "cp949")],
    *[(RUSSIAN, "cp1251"), (POLISH, "cp1250"), (CZECH, "cp1250"), (HUNGARIAN, "cp1250")],
    *[(GERMAN, "cp1252"), (GERMAN, "latin-1"), (FRENCH, "cp1252"), (SPANISH, "latin-1"), (ENGLISH, "cp1252")],
    *[(GERMAN + FRENCH + SPANISH, "cp1252"), ("Señorita, très bien, Mädchen\n", "cp1252"), ("Café\n", "latin-1")],
    *[(KOREAN, encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")],
    *[(GERMAN, encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")],
]


MAC = [GERMAN, FRENCH, SPANISH, "Don’t look “back”\n", "Ich möchte schön sein", "für", "Tú y yo, aquí", "MAÑANA"]
CASES += [(text, "mac_roman") for text in MAC]


@pytest.mark.parametrize(("text", "encoding"), CASES)
@pytest.mark.parametrize("copies", [1, 8])
def test_p9_clear_cases_are_read_right(tmp_path, text, encoding, copies):
    path = tmp_path / "song.lrc"
    path.write_bytes((text * copies).encode(encoding))
    assert read_lyrics(path) == text * copies


def test_p9_the_encoding_that_was_taken_is_told(tmp_path):
    path = tmp_path / "song.lrc"
    path.write_bytes(CHINESE.encode("gbk"))
    assert read_lyrics_file(path).encoding == "gb18030"
    assert decode_lyrics(GERMAN.encode()).encoding == "utf-8-sig"


OTHERS = [
    *[("Το όνομά μου είναι ψυχή και τραγουδώ", "cp1253"), ("שלום עולם אני שר לך שיר", "cp1255")],
    *[("مرحبا بالعالم أغني لك", "cp1256"), ("สวัสดีชาวโลก ฉันร้องเพลง", "cp874"), (RUSSIAN, "koi8_r"), (RUSSIAN, "cp866")],
    *[("Güneş doğdu, şarkı söylüyorum ışık", "cp1254"), ("你好", "gbk"), ("안녕", "euc_kr"), (JAPANESE, "gbk")],
    *[("Я помню чудное мгновенье\nПередо мной явилась ты", "koi8_r"), ("и сердце бьётся в упоенье", "koi8_r")],
    *[("Я ПОМНЮ чудное мгновенье\nпередо мной явилась ты", "koi8_r"), ("אני אוהב אותך מאוד", "cp1255")],
    *[("Aš myliu tave, mano širdie, ačiū už viską, ką davei", "cp1257")],
    *[("corazón", "mac_roman"), (GERMAN, "cp850"), (SPANISH, "cp850"), ("Minä rakastan sinua, yö", "cp850")],
]


@pytest.mark.parametrize(("text", "encoding"), OTHERS)
def test_p9_what_cannot_be_told_is_refused_and_never_read_as_other_letters(tmp_path, text, encoding):
    path = tmp_path / "song.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InvalidInputError, match=r"song\.txt") as caught:
        read_lyrics(path)
    assert "UTF-8" in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02\x03", "not text"),
        (b"krc1\x12\x34\xff", "encrypted KRC"),
        (b"%PDF-1.7\n\xff", "PDF"),
        (b"PK\x03\x04\xff", "packed"),
        (b"a" * (MAX_LYRICS_BYTES + 1), "is over"),
        (b"a" * 100_001, "100,001 characters"),
        (b"<tt xml:lang='en'>", "TTML"),
    ],
)
def test_unusable_lyrics_files_are_named(tmp_path, raw, said):
    path = tmp_path / "song.txt"
    path.write_bytes(raw)
    with pytest.raises(InvalidInputError, match=r"song\.txt") as caught:
        read_lyrics(path)
    assert said in caught.value.message


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "song.txt")
    for name in ("song.txt", "gone.txt"):
        with pytest.raises(NotFoundError, match=name):
            read_lyrics(tmp_path / name)


@pytest.mark.parametrize(("encoding", "name"), [("gbk", "GBK"), ("gb18030", "GBK")])
def test_a_guessed_encoding_asks_whether_its_words_are_right(encoding, name):
    said = decode_lyrics(CHINESE.encode(encoding)).question
    assert said == f"It was read as {name}. See that its words are right: [00:01.00]我曾经跨过山和大海"
    assert decode_lyrics(RUSSIAN.encode("cp1251")).question.startswith("It was read as cp1251. ")
    for unicode in ("utf-8", "utf-8-sig", "utf-16"):
        assert decode_lyrics(CHINESE.encode(unicode)).question == ""
    assert decode_lyrics(b"la\n").question == ""
