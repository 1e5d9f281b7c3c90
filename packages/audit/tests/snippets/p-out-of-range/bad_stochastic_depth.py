from torchvision.ops import StochasticDepth

depth = StochasticDepth(1.5, "row")  #! p-out-of-range
