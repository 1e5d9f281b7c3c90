from torch import nn


def asked_for_the_contrary(dropout=False):
    if dropout:
        return nn.Identity()
    return nn.Dropout(dropout)  #! dropout-as-flag advice


def in_else(dropout=False):
    return nn.Identity() if dropout else nn.Dropout(dropout)  #! dropout-as-flag advice


def used(use_dropout=False):
    return nn.Dropout(use_dropout) if use_dropout else None  #! dropout-as-flag advice


def on(dropout=True):
    return nn.Dropout(dropout) if dropout else None  #! dropout-as-flag advice


def annotated(dropout: bool = False):
    return nn.Dropout(dropout) if dropout else None  #! dropout-as-flag advice


def given_flags(dropout=False):
    return nn.Dropout(dropout)  #! dropout-as-flag advice


drop = given_flags(True)
