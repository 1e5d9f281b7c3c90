from torch import nn


class BertPreTrainedModel(nn.Module):
    # The loop over the children only loads them.
    def __init__(self, config):
        super().__init__()
        self.config = config

    def init_bert_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)

    @classmethod
    def from_pretrained(cls, name, *inputs, **kwargs):
        model = cls(name, *inputs, **kwargs)

        def load(module, prefix=""):
            module._load_from_state_dict({}, prefix, {}, True, [], [], [])
            for name, child in module._modules.items():
                if child is not None:
                    load(child, prefix + name + ".")

        load(model)
        return model


class A(BertPreTrainedModel):
    def __init__(self, config):
        super(A, self).__init__(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)  #! dropout-never-used advice
        self.classifier = nn.Linear(8, 8)
        self.apply(self.init_bert_weights)

    def forward(self, x):
        return self.classifier(x)
