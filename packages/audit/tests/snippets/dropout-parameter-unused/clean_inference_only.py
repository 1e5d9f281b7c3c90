#! path: f5_tts/runtime/triton_trtllm/modules.py
import torch
from tensorrt_llm import Module
from tensorrt_llm.layers import Linear


class FeedForward(Module):
    # The signature is that of the model that was trained.
    def __init__(self, dim, mult=4, dropout=0.0):
        super().__init__()
        self.project = Linear(dim, dim * mult)

    def forward(self, x):
        return self.project(x)
