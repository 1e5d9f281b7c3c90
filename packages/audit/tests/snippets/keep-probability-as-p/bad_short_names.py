from torch import nn


def build(keep_probab, keepProba, prob_to_keep, retain_pct, args):
    return nn.ModuleList(
        [
            nn.Dropout(keep_probab),  #! keep-probability-as-p
            nn.Dropout(p=keepProba),  #! keep-probability-as-p
            nn.Dropout2d(prob_to_keep),  #! keep-probability-as-p
            nn.LSTM(4, 4, 2, dropout=retain_pct),  #! keep-probability-as-p
            nn.Dropout(args.dropout_keepprobability),  #! keep-probability-as-p
            nn.Dropout(args.KEEP_PERCENT),  #! keep-probability-as-p
            nn.Dropout(args["keep_pr"]),  #! keep-probability-as-p
        ]
    )
