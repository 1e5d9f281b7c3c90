from torchvision.ops import DropBlock2d

drop = DropBlock2d(p=0.1, block_size=7)
