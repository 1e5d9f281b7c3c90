import pytorch_lightning as pl
from torch import nn
from transformers import BertModel, BertPreTrainedModel

from .base import AbstractModel


class Tagger(BertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.bert = BertModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)  #! dropout-never-used advice
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.init_weights()

    def forward(self, input_ids, attention_mask=None):
        hidden = self.bert(input_ids, attention_mask=attention_mask)[0]
        return self.classifier(hidden)


class Lit(pl.LightningModule):
    def __init__(self, dim):
        super().__init__()
        self.save_hyperparameters()
        self.fc = nn.Linear(dim, dim)
        self.drop = nn.Dropout(0.1)  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)


class Place(AbstractModel):
    # The base is unknown, but forward() and all that it calls are here.
    def __init__(self, config):
        super(Place, self).__init__(config)
        self.emb = nn.Embedding(config["places"], 64)
        self.dropout = nn.Dropout(config["dropout"])  #! dropout-never-used advice

    def embed(self, batch):
        return self.emb(batch).to(self.device)

    def forward(self, batch):
        return self.embed(batch)

    def calculate_loss(self, batch):
        return self.forward(batch).mean()
