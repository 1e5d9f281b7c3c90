# dropout
