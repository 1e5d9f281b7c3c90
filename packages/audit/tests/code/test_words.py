"""Words in names, and what they say of training."""

import pytest

from torchdropout_audit.code.words import (
    computes_loss,
    is_pretrained,
    speaks_of_training,
    trains,
    words,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("isTraining_now", ("is", "training", "now")),
        ("HTTPServer2d", ("http", "server", "2", "d")),
        ("_", ()),
        ("", ()),
    ],
)
def test_the_words_of_a_name(name, expected):
    assert words(name) == expected


CASES = {
    speaks_of_training: {
        True: "is_train isTraining istrain finetraining evalMode pre_norm_train self_training",
        False: "pretrained pretraining pre_train preTraining pre trainer untrained _",
    },
    trains: {
        True: "train training_step forward_train",
        False: "train_and_evaluate train_val forward pretrain eval _",
    },
    computes_loss: {
        True: "loss losses calculate_loss",
        False: "val_loss train_loss forward_loss lossless step _",
    },
    is_pretrained: {
        True: "PreTrainedModel BertPreTrainedModel PreTrainedBertModel",
        False: "TFPreTrainedModel FlaxBertPreTrainedModel MyPreTrainedBertModel BertModel",
    },
}


@pytest.mark.parametrize("says", CASES)
def test_what_a_name_says(says):
    for expected, names in CASES[says].items():
        assert {name: says(name) for name in names.split()} == dict.fromkeys(
            names.split(), expected
        )
