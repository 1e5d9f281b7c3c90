from timm.layers import DropPath, drop_path


def make(p, keep):
    return DropPath(p, scale_by_keep=keep)


def drop(x, p, training, scale_by_keep):
    return drop_path(x, p, training, scale_by_keep)
