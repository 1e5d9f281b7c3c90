from torch import nn


def build(keep_problem, keeper, keep_dims_rate, p_of_keeper, upkeep):
    rates = (keep_problem, keeper, keep_dims_rate, p_of_keeper, upkeep)
    return nn.ModuleList(
        [
            nn.Dropout(keep_problem),
            nn.Dropout(keeper),
            nn.Dropout(keep_dims_rate),
            nn.Dropout(p_of_keeper),
            nn.Dropout(upkeep),
            *(nn.Dropout(rate) for rate in rates),
        ]
    )
