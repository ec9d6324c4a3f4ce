"""What this library calls what others have: the ends of errors about names that are not there."""

from __future__ import annotations

from minigrad import names

_OPTIMISER = "an optimiser is a function of its rate, such as lstm.optim.adam(0.001)"
_DATA = "data of your own are a task: lstm.ArrayTask(xs, ys) of arrays, lstm.TableTask of a table"

# Names of other libraries -> what is written here instead.
INSTEAD = {
    **names.INSTEAD,
    **dict.fromkeys(
        ("nn", "Module", "layers"),
        "layers and cells are here itself, such as lstm.LSTM; your own are subclasses of "
        "lstm.Layer or lstm.Cell",
    ),
    **dict.fromkeys(("Linear", "Dense"), "write lstm.Readout"),
    "Sequential": "write lstm.Stack, or lstm.Model.create(..., layers=2)",
    "LSTMCell": "write lstm.LSTM",
    "GRUCell": "write lstm.GRU",
    **dict.fromkeys(("RNNCell", "SimpleRNN"), "write lstm.RNN"),
    **dict.fromkeys(("Adam", "AdamW", "SGD", "RMSprop", "optimizers"), _OPTIMISER),
    **dict.fromkeys(("DataLoader", "Dataset", "TensorDataset", "data"), _DATA),
    **dict.fromkeys(("MSELoss", "mse_loss"), "write lstm.mse"),
    **dict.fromkeys(("L1Loss", "l1_loss"), "write lstm.mae"),
    **dict.fromkeys(("HuberLoss", "SmoothL1Loss"), "write lstm.huber"),
    **dict.fromkeys(("CrossEntropyLoss", "NLLLoss"), "write lstm.cross_entropy"),
    **dict.fromkeys(("BCELoss", "BCEWithLogitsLoss"), "write lstm.binary_cross_entropy"),
    **dict.fromkeys(("load", "load_model", "load_state_dict"), "write lstm.Model.load(path)"),
    **dict.fromkeys(("save", "state_dict"), "write model.save(path), of an lstm.Model"),
    "compile": "write lstm.fit(model, task), which compiles",
    "generate": "write lstm.sample",
    "pad_sequence": "write lstm.padded",
    **dict.fromkeys(
        ("tensor", "Tensor", "Variable", "Parameter", "grad", "function", "var", "param", "const"),
        "expressions are minigrad's: minigrad.var, minigrad.param, minigrad.const, minigrad.grad",
    ),
}

_MODES = "a model has no modes: dropout draws where model.run(xs, key=...) is given a key"
_ARRAYS = (
    "its parameters are model.params, a tree, or model.flat_params; their arrays model.values()"
)

# The same for what others' models have.
OF_A_MODEL = {
    **dict.fromkeys(("eval", "training"), _MODES),
    **dict.fromkeys(("train", "fit", "compile"), "write lstm.fit(model, task)"),
    **dict.fromkeys(("evaluate", "score"), "write lstm.evaluate(model, task, seed)"),
    **dict.fromkeys(
        ("predict", "forward", "call"),
        "write model.run(xs).output, an expression whose values are .eval()",
    ),
    **dict.fromkeys(("parameters", "named_parameters", "weights", "get_weights"), _ARRAYS),
    **dict.fromkeys(("trainable_variables", "trainable_weights", "state_dict"), _ARRAYS),
    **dict.fromkeys(
        ("load_state_dict", "set_weights", "load_weights"),
        "each of model.flat_params has a .value to assign to; a file is read by "
        "lstm.Model.load(path)",
    ),
    **dict.fromkeys(("summary", "modules", "children"), "write print(model), or model.layers"),
    **dict.fromkeys(("to", "cuda"), "write lstm.fit(..., backend='jax'), or model.to_jax()"),
    **dict.fromkeys(("generate", "sample"), "write lstm.sample(model)"),
    **dict.fromkeys(
        ("backward", "zero_grad", "grad"), "steps of training are lstm.fit's, or lstm.Trainer's"
    ),
}
