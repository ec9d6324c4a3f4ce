"""lstm: recurrent cells as the textbook's equations, trained and drawn with minigrad.

    model = lstm.Model.create(lstm.LSTM, task=lstm.Adding(length=50), hidden_size=16)
    fitted = lstm.fit(model, lstm.Adding(length=50))

Cells: one step over time; `CELLS` has all by name
    Cell            what all share; subclass it, or one below, for a cell of your own equations
    RNN             the simple recurrent network, h = tanh(W·[h, x] + b)
    LSTM            the LSTM with a forget gate, C = f∗C + i∗C̃, h = o∗tanh(C)
    PeepholeLSTM    an LSTM whose gates see C, too
    CoupledLSTM     an LSTM that writes as much as it forgets, i = 1 − f
    LayerNormLSTM   an LSTM whose sums are normalised before they meet a gate
    GRU             the gated recurrent unit, h = (1 − z)∗h + z∗h̃
    GRUAfter        the GRU of PyTorch and Keras, whose reset gate acts after the product
    MGU             the minimal gated unit, with a single gate
    cell            the class of a cell whose equations are a plain function, step(p, h, x)
    Gate            a gate in words: its symbol, its name, what 1 and 0 do
    RNNState        what a cell carries from step to step: h
    LSTMState       the same of an LSTM: h and C

Models: layers, a readout, and their parameters
    Model           make one (`create`), run it, write it out, save and load it
    Run             what `Model.run` gives: the output, every step's, and the last state
    Unrolled        what `Model.unroll` gives: every value of every step, by name

Layers: functions from sequences to sequences; `LAYERS` has all by name
    Layer           what all share; subclass it for a layer of your own
    Recurrent       a cell over time, one way
    Bidirectional   two of them, one of which reads from the last step to the first
    Stack           layers one above the other, by name
    Residual        a layer whose input is added to what it gives
    Dropout         elements set to 0 at random, in training
    LayerNorm       each step shifted to mean 0 and scaled to variance 1
    Embedding       a row of numbers for each token
    Readout         from the top layer to the outputs, of the last step or of every one
    Annotations     steps each by itself, for an attention, where no cell reads them
    Decoder         a readout that answers with a sequence, token by token, with attention or not
    Attention       what all attention shares: what a query reads of annotations, in shares
    DotAttention    in the shares of q · a
    GeneralAttention   in those of q · W a
    AdditiveAttention  in those of v · tanh(W q + U a)
    HardAttention      of one of them alone, drawn by those shares
    Steps           what goes from layer to layer: a sequence, and its own end
    Context         what a run is given beside it: mask, key, where gradients stop
    mask_of         the mask (T, B) of sequences with lengths (B,)

Nets of other engines
    from_keras      a model of the weights that layers of Keras have
    from_onnx       a model of the LSTM, GRU and RNN nodes of an ONNX file
    from_torch      a model of a state dict of torch, or of its .safetensors file
    to_onnx         an ONNX file of a model, its layers as nodes LSTM, GRU and RNN
    to_torch        the state dict that a model's layers are in torch

Tasks: seeded batches, a loss, a baseline, and when it is solved; `TASKS` has all by name
    ArrayTask       arrays or lists of sequences of your own, and what to say of each
    TableTask       what a column of a table of your own will be, so many rows from now
    TextTask        what comes next in a text of your own, by characters, words or bytes
    Task            what all share; subclass it for data that are made as they are needed
    Adding          the sum of the two marked numbers of a long sequence
    Copying         the symbols of long ago, in their order
    Multiplication  the product of the two marked numbers
    TemporalOrder   in which order the few symbols came that matter
    TwoSequences    which of two signs the first numbers had, before the noise
    Reber           the next symbol of the embedded Reber grammar
    AnBn            what may come next in strings of n a's and then n b's
    AnBnCn          the same in strings of n a's, n b's and n c's
    Dyck2           what may come next in strings of two kinds of brackets
    Latching        one bit of the first steps, held through noise
    Parity          whether the number of ones is odd
    Agreement       pronouns and verbs that agree with the subject of their sentence
    Sky             the last word of a sentence, which its subject decides
    France          the last word of a text, which a country far back decides
    Movie           what happens in each frame of a film, as earlier scenes decide it
    Spoken          which digit a word is, of cepstra of its sound
    Digits          which digit a picture is, read by rows or by pixels
    DelayedSine     what a wave was, so many steps ago
    MackeyGlass     what a chaotic series will be
    Lorenz          what a coordinate of a chaotic system will be, of which no other is seen
    Reverse         the letters of a string from the last to the first
    Sort            the letters of a string in the order of the alphabet
    Dates           a date as people write it, in the way of ISO 8601
    Caption         what a small picture shows, and where, in words
    make_task       the task of that name, with settings
    Batch           sequences, and what to predict from each
    PaddedBatch     the same of sequences of unequal length
    padded          sequences of unequal length side by side, and their lengths

Training
    fit             train to the end: validated, saved, stopped and resumed
    train           train step by step: a report each
    evaluate        how a model does on sequences that it never saw
    correct_by_length  the share that is correct, against the length of the sequences
    sample          what a model of a text writes, a token at a time
    predict         what a model of a table says of its rows, or of those of another
    Forecast        what it gives: a table, a file, a picture
    Settings        how to train: steps, batch, rate, optimiser, schedule, clipping, seed
    Fitted          what came of `fit`
    Report          what one step saw: loss, norm of the gradient
    Score           loss, fraction that is correct, and whether the task is solved
    Progress        where training stands after a step, for a callback
    Trainer         one compiled step, for losses and loops of your own
    TrainingState   all that a step changes, and a checkpoint keeps
    optim           optimisers, schedules and clipping, as expressions: `lstm.optim.adam(0.01)`

The gradient's way back
    flow            how the gradient of a batch flows back over the steps
    Flow            what it gives: arrays, norms, words, tables and pictures
    compare         several flows side by side, on one scale
    Comparison      what it gives
    explore         flows as a page to look around in, which is one file
    FlowWatch       records flows during training: `lstm.fit(..., watch=lstm.FlowWatch())`

What a model has learnt
    swap_influence  what each input decides: it is another's, and how the answer changes
    probe           what can be read of a state, by a linear map and by each unit alone
    Probe           what it gives
    without_units   what a model says where some units remember nothing

Charts of it: a flow, and axes to draw on (`ax=`), which they return
    plot_norms         how much of the gradient reaches each step
    plot_paths         by which path: along the line, around it, and what entered at each step
    plot_units         the same of each unit
    plot_waterfall     which local derivative wins or loses how many powers of ten
    plot_knockouts     what changes where a route is cut
    plot_cancellation  how far the terms agree where they meet
    plot_gate          a gate over time
    plot_memory        how many steps each unit remembers
    plot_itemised      from a loss at each step back to each step
    plot_influence     from each input to each output
    plot_text          tokens, each on the colour of a number
    plot_accuracy      how often each cell is right, against how far back it has to remember
    plot_film          a film, what models say of each frame, and what moves one answer
    plot_speech        a spoken digit, and which one models take it for at each moment
    plot_alignment          where a decoder looks: weights, and what is read and said
    plot_caption            where it looks in a picture, word by word
    plot_attention_routes   by which ways the gradient comes back: attention or recurrence
    plot_correct_by_length  the share of sequences that are right, against their length
    figures            pictures beside charts, and `cell_gradient`, a derivation

Losses and metrics: expressions of predictions and targets
    mse                   the squared difference
    mae                   the distance
    huber                 squared up to delta, straight beyond
    cross_entropy         of scores and a label, or a distribution
    binary_cross_entropy  of scores and targets in [0, 1]
    drawn_loss            what teaches an attention that draws: 0, with a gradient
    accuracy              the part that is right
    perplexity            among how many equally likely classes the model still wavers
    bits_per_character    the mean cross entropy in bits

Tables and errors
    CELLS           cells by name
    LAYERS          layers by name
    TASKS           tasks by name
    LstmError       the base of all errors that are raised on purpose
    ConfigError     a setting that cannot be
    TrainingError   a loss or a gradient that is not finite
    TrainingWarning  training goes on, but astray
    CheckpointError  a checkpoint that is missing, damaged, or of another training
    ModelFileError  a model's file that is missing, damaged, or none
    LostProcessError  a process that trains together with this one is gone
    MissingPackageError  a package of an extra that is not installed; an ImportError, too
    OutputError     a file or a folder that cannot be written
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lstm import optim
from lstm.cells import (
    CELLS,
    GRU,
    LSTM,
    MGU,
    RNN,
    Cell,
    CoupledLSTM,
    Gate,
    GRUAfter,
    LayerNormLSTM,
    LSTMState,
    PeepholeLSTM,
    RNNState,
    cell,
)
from lstm.errors import (
    CheckpointError,
    ConfigError,
    LostProcessError,
    LstmError,
    MissingPackageError,
    ModelFileError,
    OutputError,
    TrainingError,
    TrainingWarning,
)
from lstm.layers import (
    LAYERS,
    AdditiveAttention,
    Attention,
    Bidirectional,
    Context,
    Decoder,
    DotAttention,
    Dropout,
    Embedding,
    GeneralAttention,
    HardAttention,
    Layer,
    LayerNorm,
    Readout,
    Recurrent,
    Residual,
    Stack,
    Steps,
    mask_of,
)
from lstm.losses import binary_cross_entropy, cross_entropy, drawn_loss, huber, mae, mse
from lstm.metrics import accuracy, bits_per_character, perplexity
from lstm.model import Model
from lstm.other_names import INSTEAD
from lstm.runs import Run, Unrolled
from lstm.sampling import sample
from lstm.tasks import (
    TASKS,
    Adding,
    ArrayTask,
    Batch,
    Copying,
    PaddedBatch,
    TableTask,
    Task,
    TextTask,
    make_task,
    padded,
)
from lstm.training import (
    Fitted,
    Progress,
    Report,
    Score,
    Settings,
    Trainer,
    TrainingState,
    correct_by_length,
    evaluate,
    fit,
    train,
)
from minigrad.graph.origin import library
from minigrad.names import what_instead

if TYPE_CHECKING:
    from lstm import figures
    from lstm.figures.explorer.explored import explore
    from lstm.figures.plots import (
        plot_accuracy,
        plot_alignment,
        plot_attention_routes,
        plot_cancellation,
        plot_caption,
        plot_correct_by_length,
        plot_film,
        plot_gate,
        plot_influence,
        plot_itemised,
        plot_knockouts,
        plot_memory,
        plot_norms,
        plot_paths,
        plot_speech,
        plot_text,
        plot_units,
        plot_waterfall,
    )
    from lstm.forecasting import Forecast, predict
    from lstm.gradient_flow import Comparison, Flow, FlowWatch, compare, flow
    from lstm.interop import from_keras, from_onnx, from_torch, to_onnx, to_torch
    from lstm.probing import Probe, probe, swap_influence, without_units

__all__ = [
    "CELLS",
    "GRU",
    "LAYERS",
    "LSTM",
    "MGU",
    "RNN",
    "TASKS",
    "Adding",
    "AdditiveAttention",
    "ArrayTask",
    "Attention",
    "Batch",
    "Bidirectional",
    "Cell",
    "CheckpointError",
    "Comparison",
    "ConfigError",
    "Context",
    "Copying",
    "CoupledLSTM",
    "Decoder",
    "DotAttention",
    "Dropout",
    "Embedding",
    "Fitted",
    "Flow",
    "FlowWatch",
    "Forecast",
    "GRUAfter",
    "Gate",
    "GeneralAttention",
    "HardAttention",
    "LSTMState",
    "Layer",
    "LayerNorm",
    "LayerNormLSTM",
    "LostProcessError",
    "LstmError",
    "MissingPackageError",
    "Model",
    "ModelFileError",
    "OutputError",
    "PaddedBatch",
    "PeepholeLSTM",
    "Probe",
    "Progress",
    "RNNState",
    "Readout",
    "Recurrent",
    "Report",
    "Residual",
    "Run",
    "Score",
    "Settings",
    "Stack",
    "Steps",
    "TableTask",
    "Task",
    "TextTask",
    "Trainer",
    "TrainingError",
    "TrainingState",
    "TrainingWarning",
    "Unrolled",
    "accuracy",
    "binary_cross_entropy",
    "bits_per_character",
    "cell",
    "compare",
    "correct_by_length",
    "cross_entropy",
    "drawn_loss",
    "evaluate",
    "explore",
    "figures",
    "fit",
    "flow",
    "from_keras",
    "from_onnx",
    "from_torch",
    "huber",
    "mae",
    "make_task",
    "mask_of",
    "mse",
    "optim",
    "padded",
    "perplexity",
    "plot_accuracy",
    "plot_alignment",
    "plot_attention_routes",
    "plot_cancellation",
    "plot_caption",
    "plot_correct_by_length",
    "plot_film",
    "plot_gate",
    "plot_influence",
    "plot_itemised",
    "plot_knockouts",
    "plot_memory",
    "plot_norms",
    "plot_paths",
    "plot_speech",
    "plot_text",
    "plot_units",
    "plot_waterfall",
    "predict",
    "probe",
    "sample",
    "swap_influence",
    "to_onnx",
    "to_torch",
    "train",
    "without_units",
]

library(__file__)

_LATER = {  # loaded when asked for, and matplotlib with plots alone: importing lstm stays quick
    **dict.fromkeys(("Comparison", "Flow", "FlowWatch", "compare", "flow"), "gradient_flow"),
    "explore": "figures.explorer.explored",
    **dict.fromkeys(("Forecast", "predict"), "forecasting"),
    **dict.fromkeys(("from_keras", "from_onnx", "from_torch", "to_onnx", "to_torch"), "interop"),
    **dict.fromkeys(("Probe", "probe", "swap_influence", "without_units"), "probing"),
    **dict.fromkeys([name for name in __all__ if name.startswith("plot_")], "figures.plots"),
}
_BY_NAME = {kind.__name__: kind for kind in (*CELLS.values(), *LAYERS.values(), *TASKS.values())}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_BY_NAME})


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name in _BY_NAME:
            return _BY_NAME[name]
        if name == "figures":
            return import_module("lstm.figures")
        if name in _LATER:
            return getattr(import_module(f"lstm.{_LATER[name]}"), name)
        hint = what_instead(name, [*__all__, *_BY_NAME], INSTEAD)
        raise AttributeError(f"module 'lstm' has no attribute {name!r}{hint}")
