"""All styles there are."""

from recipes.nano.compose.styles_acoustic import STYLES as ACOUSTIC_STYLES
from recipes.nano.compose.styles_popular import STYLES as POPULAR_STYLES

STYLES = (*ACOUSTIC_STYLES, *POPULAR_STYLES)
