"""What a song's file says of it to other programs."""

from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.request import title_of

MADE_WITH = "AI-generated music, made with HeartMuLa Training Studio"
AI_MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""What IPTC's vocabulary of digital source types calls media that a trained model made."""
RECEIPT_TAG = "heartmula_receipt"


def song_tags(receipt: Receipt) -> dict[str, str]:
    """Return the tags of a song's file, by the names of `codec.tags`: title, style, model, words, and the receipt."""
    request = receipt.request
    said = {
        "title": title_of(request.tags, request.lyrics),
        "genre": request.tags,
        "lyrics": request.lyrics,
        "style": " + ".join(style.name or style.id for style in receipt.styles),
        "model": receipt.base,
        "date": receipt.created_at[:10],
    }
    marks = {"comment": MADE_WITH, "digital_source_type": AI_MADE, RECEIPT_TAG: receipt.to_json()}
    return {name: text for name, text in said.items() if text} | marks
