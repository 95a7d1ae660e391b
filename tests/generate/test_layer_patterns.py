"""Names and patterns of layers mean what they mean to PEFT; the judge is PEFT itself."""

from pathlib import Path

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from heartmula_studio.arch.checkpoints import load_heartmula
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.layer_patterns import LayerIndices, LayerNames, LayerValues, UnboundedPatternError


@pytest.fixture(scope="module")
def layers() -> list[str]:
    golden = load_heartmula(Path(__file__).parent.parent / "golden" / "heartmula")
    return list(BaseModel.of(golden, "").linear_layers)


@pytest.mark.parametrize(
    "given",
    [
        {"q_proj": 1, "w1": 2},
        {"layers.0.attn.q_proj": 1, "q_proj": 2, "attn.k_proj": 3},
        {"q_proj": 1, "layers.0.attn.q_proj": 2},
        {r"backbone\.layers\.[01]\..*": 1, "w1": 2, ".*proj": 3},
        {"^backbone.layers.0.attn.q_proj": 1, "attn": 2, "roj": 3},
        {"layers.(0|2).mlp.w[12]": 1, "(q|k)_proj": 2},
        {"proj|w1": 1, "": 2},
    ],
)
def test_a_setting_of_single_layers_is_the_one_that_peft_takes(layers, given):
    theirs = [given.get(get_pattern_key(given.keys(), layer), 0) for layer in layers]
    assert [LayerValues(given).get(layer, 0) for layer in layers] == theirs


@pytest.mark.parametrize("given", [["q_proj", "mlp.w1"], ["projection"], [], r".*\.(q|v)_proj", "projection", "q_proj"])
def test_layers_are_those_that_peft_targets(layers, given):
    config = LoraConfig(target_modules=given)
    theirs = [bool(check_target_module_exists(config, layer)) for layer in layers]
    assert [layer in LayerNames(given) for layer in layers] == theirs


@pytest.mark.parametrize(("indices", "containers"), [([0, 2], []), ([1], ["layers"]), ([1], ["nowhere"]), ([9], [])])
def test_layers_by_number_are_those_that_peft_targets(layers, indices, containers):
    config = LoraConfig(
        target_modules=["q_proj", "projection"], layers_to_transform=indices, layers_pattern=containers or None
    )
    theirs = [bool(check_target_module_exists(config, layer)) for layer in layers]
    names, numbers = LayerNames(["q_proj", "projection"]), LayerIndices(indices, containers)
    ours = [names.is_spelt_out(layer) or (layer in names and layer in numbers) for layer in layers]
    assert ours == theirs


@pytest.mark.parametrize("expression", ["(?=q)q_proj", r"(q)\1", "((((x{30}){30}){30}){30})"])
def test_what_only_an_engine_without_bounds_takes_is_told_apart(expression):
    with pytest.raises(UnboundedPatternError):
        LayerNames(expression)


@pytest.mark.parametrize("expression", ["(", "[", "*", "\ud800"])
def test_what_is_no_expression_is_refused(expression):
    for kind, given in ((LayerNames, expression), (LayerValues, {expression: 1})):
        with pytest.raises(ValueError, match="'") as caught:
            kind(given)
        assert not isinstance(caught.value, UnboundedPatternError)


@pytest.mark.parametrize("expression", ["(a+)+$", "(.*)*x", r"([\w.]+)*!", "(.?){100}"])
def test_an_expression_of_exponential_time_elsewhere_is_soon_done(layers, expression):
    names, values = LayerNames(expression), LayerValues({expression: True})
    takes_any = expression == "(.?){100}"
    assert {layer in names for layer in layers} == {values.get(layer, False) for layer in layers} == {takes_any}


def test_only_so_many_expressions_are_compared():
    with pytest.raises(ValueError, match="21 regular expressions"):
        LayerValues({f"layers.{number}.*": 1 for number in range(21)})
    assert LayerValues({f"layers.{number}.w": number for number in range(1000)}).get("x.layers.900.w", 0) == 900
