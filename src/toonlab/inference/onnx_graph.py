"""What stands around a generator in an ONNX file, so that it paints any size as toonlab does.

Before it: padding by reflection to what the generator's sides must divide by, as `Stylizer.paint` pads.
Behind it: the crop, White-box's output filter, the clip. Written as ONNX's own text, because a tracer would
have to follow the sizes' arithmetic with symbols.
"""

from __future__ import annotations

from typing import Any

from toonlab.inference.stylizer import OutputFilter

_HEAD = '<ir_version: {ir}, opset_import: ["" : {opset}]>'

_PAD = (
    _HEAD
    + """
pad (float[batch, 3, height, width] photo) => ({type}[batch, 3, padded_height, padded_width] padded) {{
  pad_multiple = Constant<value_ints = [{multiple}]>()
  pad_least = Constant<value_ints = [{least}]>()
  pad_one = Constant<value_ints = [1]>()
  pad_size = Shape<start = 2, end = 4>(photo)
  pad_side = ReduceMin<keepdims = 1>(pad_size)
  pad_large = GreaterOrEqual(pad_side, pad_least)
  pad_step = Where(pad_large, pad_multiple, pad_least)
  pad_up = Add(pad_size, pad_step)
  pad_below = Sub(pad_up, pad_one)
  pad_steps = Div(pad_below, pad_step)
  pad_total = Mul(pad_steps, pad_step)
  pad_more = Sub(pad_total, pad_size)
  pad_fits = Less(pad_more, pad_size)
{axes}
  pad_float = Gather<axis = 3>(pad_rows, pad_at1)
  padded = Cast<to = {number}>(pad_float)
}}
"""
)

_AXIS = """
  pad_k{k} = Constant<value_int = {k}>()
  pad_zero{k} = Constant<value_int = 0>()
  pad_one{k} = Constant<value_int = 1>()
  pad_n{k} = Gather(pad_size, pad_k{k})
  pad_to{k} = Gather(pad_total, pad_k{k})
  pad_i{k} = Range(pad_zero{k}, pad_to{k}, pad_one{k})
  pad_last{k} = Sub(pad_n{k}, pad_one{k})
  pad_edge{k} = Min(pad_i{k}, pad_last{k})
  pad_over{k} = Sub(pad_i{k}, pad_edge{k})
  pad_mirror{k} = Sub(pad_edge{k}, pad_over{k})
  pad_reflects{k} = Gather(pad_fits, pad_k{k})
  pad_at{k} = Where(pad_reflects{k}, pad_mirror{k}, pad_edge{k})
"""

_FINISH = (
    _HEAD
    + """
finish (float[batch, 3, height, width] photo, {type}[batch, 3, padded_height, padded_width] painted) => (
    float[batch, 3, height, width] cartoon, float[batch, 3, height, width] raw,
    float[batch, 3, height, width] filtered) {{
  end_float = Cast<to = 1>(painted)
  end_zeros = Constant<value_ints = [0, 0]>()
  end_axes = Constant<value_ints = [2, 3]>()
  end_size = Shape<start = 2, end = 4>(photo)
  raw = Slice(end_float, end_zeros, end_size, end_axes)
{filter}
  end_low = Constant<value_float = -1.0>()
  end_high = Constant<value_float = 1.0>()
  cartoon = Clip({result}, end_low, end_high)
}}
"""
)

_POOL = "AveragePool<kernel_shape = [{k}, {k}], pads = [{r}, {r}, {r}, {r}], count_include_pad = 0>"

# He et al. 2013, equations 5, 6 and 8, each channel alone; windows are cut at the border:
# count_include_pad says so. The same as representations.surface.guided_filter, and always in float32, because
# var = E[x²] - E[x]² cancels.
_FILTER = """
  end_eps = Constant<value_float = {eps}>()
  end_xx = Mul(photo, photo)
  end_xy = Mul(photo, raw)
  end_mean_x = {pool}(photo)
  end_mean_y = {pool}(raw)
  end_mean_xx = {pool}(end_xx)
  end_mean_xy = {pool}(end_xy)
  end_square_x = Mul(end_mean_x, end_mean_x)
  end_product = Mul(end_mean_x, end_mean_y)
  end_variance = Sub(end_mean_xx, end_square_x)
  end_covariance = Sub(end_mean_xy, end_product)
  end_spread = Add(end_variance, end_eps)
  end_slope = Div(end_covariance, end_spread)
  end_sloped = Mul(end_slope, end_mean_x)
  end_offset = Sub(end_mean_y, end_sloped)
  end_mean_slope = {pool}(end_slope)
  end_mean_offset = {pool}(end_offset)
  end_scaled = Mul(end_mean_slope, photo)
  filtered = Add(end_scaled, end_mean_offset)
"""


def with_padding_and_filter(
    core: Any, *, multiple: int, output_filter: OutputFilter | None, half: bool
) -> Any:
    """Surround a generator's model with padding, crop, filter and clip.

    Args:
        core: an `onnx.ModelProto` with the input `padded` and the output `painted`.
        multiple: what its height and width must divide by.
        output_filter: as `Stylizer` takes it.
        half: the core's input and output are float16.

    Returns:
        a model from `photo`, `(B, 3, H, W)` in [-1, 1] of any size, to `cartoon` of the same shape in
        [-1, 1]; with an output filter also `raw`, the picture before filter and clip, and `filtered`, before
        the clip.
    """
    import onnx
    from onnx import parser

    opset = next(entry.version for entry in core.opset_import if entry.domain in ("", "ai.onnx"))
    shared = {
        "ir": core.ir_version,
        "opset": opset,
        "type": "float16" if half else "float",
        "number": 10 if half else 1,
    }
    axes = _AXIS.format(k=0) + "  pad_rows = Gather<axis = 2>(photo, pad_at0)" + _AXIS.format(k=1)
    before = parser.parse_model(_PAD.format(**shared, axes=axes, multiple=multiple, least=4 * multiple))
    filtering = ""
    if output_filter:
        pool = _POOL.format(k=2 * output_filter.radius + 1, r=output_filter.radius)
        filtering = _FILTER.format(pool=pool, eps=f"{output_filter.eps:.9f}")
    behind = parser.parse_model(
        _FINISH.format(**shared, filter=filtering, result="filtered" if output_filter else "raw")
    )
    graph = onnx.helper.make_graph(
        [*before.graph.node, *core.graph.node, *behind.graph.node],
        "toonlab",
        list(before.graph.input),
        list(behind.graph.output)[: 3 if output_filter else 1],
        list(core.graph.initializer),
        value_info=list(core.graph.value_info),
    )
    for entry in (*graph.node, *graph.value_info):
        del entry.metadata_props[:]  # the tracer's stack, with the paths of this machine
        entry.doc_string = ""
    model = onnx.helper.make_model(
        graph, opset_imports=list(core.opset_import), functions=list(core.functions), producer_name="toonlab"
    )
    model.ir_version = core.ir_version
    return model
