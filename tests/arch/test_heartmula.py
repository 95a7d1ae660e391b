"""The language model against golden numbers, its cache, and the official sizes."""

import torch

from heartmula_studio.arch import heartmula
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.llama import NAMED_FLAVORS

TOLERANCE = 2e-4


def teacher_forced_logits(model: HeartMuLa, golden: dict, unconditional: bool) -> torch.Tensor:
    """All logits of the golden frames, [F, K, V]."""
    prompt, codes = golden["prompt.tokens"], golden["codes"]
    num_prompt, num_frames = prompt.shape[1], len(codes)
    frames = torch.nn.functional.pad(codes, (0, 1))[None]
    tokens = torch.cat((prompt, frames), dim=1)
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    mask[:, :num_prompt] = golden["prompt.tokens_mask"].bool()
    mask[:, num_prompt:, :-1] = True
    predict = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    predict[:, num_prompt - 1 : num_prompt - 1 + num_frames] = True
    first, rest = model(tokens, mask, golden["prompt.muq_idx"], torch.tensor([unconditional]), predict, codes)
    return torch.cat((first, rest), dim=1)


@torch.no_grad()
def test_logits_equal_golden(golden_heartmula, golden):
    logits = teacher_forced_logits(golden_heartmula, golden, unconditional=False)
    assert (logits - golden["logits.cfg1"]).abs().max() < TOLERANCE


@torch.no_grad()
def test_guided_logits_equal_golden(golden_heartmula, golden):
    with_prompt = teacher_forced_logits(golden_heartmula, golden, unconditional=False)
    without = teacher_forced_logits(golden_heartmula, golden, unconditional=True)
    guided = without + 1.5 * (with_prompt - without)
    assert (guided - golden["logits.cfg1.5"]).abs().max() < TOLERANCE


def test_padding_behind_an_example_changes_nothing(golden_heartmula, golden):
    tokens, mask = golden["prompt.tokens"], golden["prompt.tokens_mask"].bool()
    padded = torch.nn.functional.pad(tokens, (0, 0, 0, 7))
    padded_mask = torch.nn.functional.pad(mask, (0, 0, 0, 7))
    model = golden_heartmula
    short = model.backbone(model.embed(tokens, mask, golden["prompt.muq_idx"]))
    long = model.backbone(model.embed(padded, padded_mask, golden["prompt.muq_idx"]))
    torch.testing.assert_close(long[:, : tokens.shape[1]], short, atol=1e-5, rtol=1e-5)


def four_frames(golden: dict) -> tuple[torch.Tensor, ...]:
    """Arguments of `forward` that predict the first codes from the end of the prompt."""
    prompt = golden["prompt.tokens"]
    predict = torch.zeros(prompt.shape[:2], dtype=torch.bool)
    predict[:, -4:] = True
    mask = golden["prompt.tokens_mask"].bool()
    return prompt, mask, golden["prompt.muq_idx"], torch.tensor([False]), predict, golden["codes"][:4]


def test_depth_subset_equals_rows_of_all(golden_heartmula, golden):
    arguments = four_frames(golden)
    _, everything = golden_heartmula(*arguments)
    _, subset = golden_heartmula(*arguments, depth_frames=torch.tensor([3, 1]))
    torch.testing.assert_close(subset, everything[[3, 1]])


def test_scores_of_pieces_are_those_of_all_logits(golden_heartmula, golden, monkeypatch):
    seen = []

    def score(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(logits.numel())
        return logits.log_softmax(-1).gather(-1, targets[..., None]).sum((0, 2))

    def scores_and_gradients() -> list[torch.Tensor]:
        golden_heartmula.zero_grad()
        scores = torch.cat(golden_heartmula(*four_frames(golden), torch.tensor([3, 1, 0]), score))
        (scores * torch.arange(1, 9)).sum().backward()
        return [scores.detach(), *(p.grad.clone() for p in golden_heartmula.parameters())]

    whole, at_once = scores_and_gradients(), max(seen)
    seen.clear()
    monkeypatch.setattr(heartmula, "LOGITS_AT_ONCE", at_once // 2)
    for expected, pieces in zip(whole, scores_and_gradients(), strict=True):
        torch.testing.assert_close(pieces, expected)
    assert max(seen) <= at_once // 2


def test_a_depth_decoder_run_in_pieces_gives_the_logits_of_one_run(golden_heartmula, golden, monkeypatch):
    _, whole = golden_heartmula(*four_frames(golden))
    lengths = []
    golden_heartmula.decoder.register_forward_pre_hook(lambda _, arguments: lengths.append(len(arguments[0])))
    monkeypatch.setattr(golden_heartmula, "depth_positions_at_once", 3 * 8)
    _, in_pieces = golden_heartmula(*four_frames(golden))
    assert lengths == [3, 1]
    torch.testing.assert_close(in_pieces, whole)


def test_gradient_checkpointing_changes_no_gradient(golden_heartmula, golden):
    def gradients(enabled: bool) -> list[torch.Tensor]:
        golden_heartmula.enable_gradient_checkpointing(enabled)
        golden_heartmula.zero_grad()
        teacher_forced_logits(golden_heartmula, golden, unconditional=False).logsumexp(-1).sum().backward()
        return [p.grad.clone() for p in golden_heartmula.parameters()]

    for plain, recomputed in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_model_can_train_after_inference(golden_heartmula, golden):
    """The cached rotation table was an inference tensor, which autograd refuses to save."""
    with torch.inference_mode():
        teacher_forced_logits(golden_heartmula, golden, unconditional=False)
    teacher_forced_logits(golden_heartmula, golden, unconditional=False).sum().backward()
    assert golden_heartmula.projection.weight.grad.isfinite().all()


def test_official_3b_has_the_published_names_and_size():
    config = HeartMuLaConfig.from_dict({"backbone_flavor": "llama-3B", "decoder_flavor": "llama-300M"})
    with torch.device("meta"):
        model = HeartMuLa(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes == official_3b_shapes()
    assert round(sum(p.numel() for p in model.parameters()) / 1e9, 2) == 3.94


def official_3b_shapes() -> dict[str, tuple[int, ...]]:
    shapes = {
        "text_embeddings.weight": (128256, 3072),
        "audio_embeddings.weight": (8 * 8197, 3072),
        "unconditional_text_embedding.weight": (1, 3072),
        "projection.weight": (3072, 3072),
        "codebook0_head.weight": (8197, 3072),
        "audio_head": (7, 3072, 8197),
        "muq_linear.weight": (3072, 512),
        "muq_linear.bias": (3072,),
    }
    for part, layers, kv_width in (("backbone", 28, 8 * 128), ("decoder", 3, 4 * 384)):
        shapes[f"{part}.norm.scale"] = (3072,)
        for layer in range(layers):
            prefix = f"{part}.layers.{layer}"
            shapes |= {
                f"{prefix}.sa_norm.scale": (3072,),
                f"{prefix}.mlp_norm.scale": (3072,),
                f"{prefix}.attn.q_proj.weight": (3072, 3072),
                f"{prefix}.attn.k_proj.weight": (kv_width, 3072),
                f"{prefix}.attn.v_proj.weight": (kv_width, 3072),
                f"{prefix}.attn.output_proj.weight": (3072, 3072),
                f"{prefix}.mlp.w1.weight": (8192, 3072),
                f"{prefix}.mlp.w2.weight": (3072, 8192),
                f"{prefix}.mlp.w3.weight": (8192, 3072),
            }
    return shapes


def test_config_survives_a_round_trip():
    config = HeartMuLaConfig.from_dict({"backbone_flavor": "llama-7B", "decoder_flavor": "llama-400M"})
    assert HeartMuLaConfig.from_dict(config.to_dict()) == config
    assert config.to_dict()["backbone_flavor"] == "llama-7B"
    assert config.backbone_flavor == NAMED_FLAVORS["llama-7B"]
