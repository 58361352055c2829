"""What is said of a name, method or argument that PyTorch or NumPy has and that is not here: the one table of it.

`missing_names` reads it where a name is asked for. tests/test_pytorch_names.py checks that no row is dead.
"""

from __future__ import annotations

LINALG = (
    "most of linear algebra is not there yet; there are @, ge.norm, ge.trace, ge.outer, ge.einsum, ge.cov and ge.kron"
)
FFT = "Fourier transforms are not there yet"
COMPLEX = "there are no complex numbers; keep the real and the imaginary part in two Tensors"
SPARSE = "there are no sparse Tensors; use index arrays with ge.index_add and x[index]"
QUANTIZED = "there are no quantised Tensors; use ge.float16 or ge.bfloat16"
LAYERS = "convolutions, pooling and recurrent layers are not there yet"
NORMS = "layer norm and RMS norm are the normalisations that there are"
ATTENTION = "attention is not there yet; write ge.softmax(q @ k.mT / d**0.5, axis=-1) @ v"
SPECIAL = "of the special functions there are ge.erf, erfc, erfinv, lgamma, digamma, polygamma, logit, sinc and xlogy"
MEMORY = "how memory is laid out is no concern here: arrays are values, and nobody sees their strides"
NAMED = "axes have no names here; use their numbers"
GRAPHS = "use ge.jit, which traces and compiles a function"
PROCESSES = "there is one process; training on several is not there yet"
PARAMETRIZED = "compute the weight from its parameters in forward, and call F.linear with it"
PEAK = "no peak is kept; memory_allocated() and memory_reserved() say what is taken now"
STREAM = "ops run on CuPy's current stream"
INTERNAL = "it belongs to PyTorch's own workings"
FUNCTIONAL = "it is in ge.nn.functional"
DISTRIBUTION = "this distribution is not there; write its log_prob with the functions that there are"
EXACT = "use the methods of the same name without it"


def names(text: str) -> list[str]:
    """Names, of which one may stand for several with `*`."""
    return text.split()


DATA = {
    "DistributedSampler": "there is one process; use RandomSampler",
    "IterDataPipe": "use IterableDataset",
    "MapDataPipe": "use Dataset",
    **dict.fromkeys(
        names("*DataPipe DataChunk functional_datapipe *determinis* argument_validation runtime_validation*"),
        "use Dataset and IterableDataset",
    ),
}

# By module: what to do instead for a name, or for all names that begin with one that ends with `*`.
INSTEAD = {
    "gradengine": {
        **dict.fromkeys(
            names(
                "linalg cholesky* det eig* geqrf inverse lobpcg logdet lstsq lu* matrix_exp matrix_power matrix_rank "
                "orgqr ormqr pca_lowrank pinverse qr slogdet solve* svd* triangular_solve symeig vander nuclear_norm "
                "frobenius_norm norm_except_dim"
            ),
            LINALG,
        ),
        **dict.fromkeys(names("fft stft istft *_window"), FFT),
        **dict.fromkeys(
            names(
                "complex* cfloat cdouble chalf polar view_as_complex* view_as_real* angle is_conj conj_physical* "
                "resolve_* ComplexFloat* ComplexDouble*"
            ),
            COMPLEX,
        ),
        **dict.fromkeys(names("sparse* hspmm smm sspaddmm spmm dsmm saddmm"), SPARSE),
        **dict.fromkeys(
            names(
                "quant* dequantize q_* qint* quint* int_repr empty_quantized fake_quantize* fbgemm* choose_qparams* "
                "per_* QInt* QUInt* "
                "float8* float4* bits* uint1* uint2* uint3* uint4* uint5* uint6* uint7* int1* int2* "
                "int3* int4* int5* "
                "int6* int7*"
            ),
            QUANTIZED,
        ),
        **dict.fromkeys(
            names(
                "conv* max_pool* avg_pool* adaptive* lstm* gru* rnn* channel_shuffle pixel_* "
                "native_channel_shuffle mkldnn* cudnn* miopen*"
            ),
            LAYERS,
        ),
        **dict.fromkeys(names("batch_norm* group_norm instance_norm native_*_norm rms_norm"), NORMS),
        **dict.fromkeys(names("special i0* igamma* mvlgamma frexp gcd* lcm*"), SPECIAL),
        **dict.fromkeys(
            names(
                "as_strided* empty_strided empty_permuted from_file frombuffer Storage* *Storage storage* "
                "contiguous_format channels_last* preserve_format strided layout memory_format asarray_chkfinite"
            ),
            MEMORY,
        ),
        **dict.fromkeys(
            names(
                "export fx package _dynamo TracingState Script* cond while_loop "
                "import_ir_module* parse_* merge_type_from_type_comment fork wait"
            ),
            GRAPHS,
        ),
        **dict.fromkeys(names("distributed multiprocessing futures"), PROCESSES),
        **dict.fromkeys(
            names("feature_*dropout embedding* grid_sampler* hardshrink ctc_loss *_loss kl_div binary_cross_entropy*"),
            "look in ge.nn.functional",
        ),
        **dict.fromkeys(
            names(
                "*Type *Error *Exception Alias* Argument* AVG SUM Benchmark* Block BufferDict CallStack "
                "Capsule Code Compilation* Complete* Concrete* DeepCopy* Deserialization* DeviceObjType Disable* "
                "Dispatch* ErrorReport Exclude* Execution* FileCheck Function* Future GradScaler Gradient Graph* "
                "IODescriptor Lite* LockingLogger LoggerBase Module* Node Noop* OperatorInfo "
                "ParameterDict sctypeDict PRIVATE_OPS "
                "PyTorch* Serialization* Static* StreamObjType Sym* sym_* Tag Throughput* "
                "TYPE_CHECKING Use USE_* Value "
                "ao alias_copy autocast_* binomial bit classes classproperty clear_autocast* compiled_with* cpp cpu "
                "constant_pad_nd fused_* get_autocast_* get_file_path has_* hash_tensor hsmm "
                "init_num_threads is_anomaly* "
                "is_autocast_* is_deterministic* is_distributed is_inference is_neg is_storage "
                "is_vulkan* is_warn_always* "
                "jagged legacy_* library masked monitor native_* nested overrides prepare_* profiler* "
                "qscheme quasirandom "
                "*resize_as* return_types segment_reduce serialization set_anomaly* set_autocast* set_deterministic* "
                "signal slice_inverse testing thread_safe_generator to_dlpack torch* unify_type_list version windows "
                "get_deterministic* nonzero_static affine_grid* export"
            ),
            INTERNAL,
        ),
        **dict.fromkeys(
            names("builtins ctypes functools glob importlib math os platform sys textwrap threading types warnings"),
            "it is a module of Python's own",
        ),
        "*_copy": "leave out _copy, and use x.clone() where no view is meant",
        "*_": "the method of that name works in place",
        "functional": FUNCTIONAL,
        "set_default_tensor_type": "use ge.set_default_device, and dtype= where a Tensor is made",
        "histogramdd": "use ge.histogram for each axis",
        "Stream": "use cupy.cuda.Stream; ops run on CuPy's current stream",
        "Event": "use cupy.cuda.Event; ops run on CuPy's current stream",
        "array_equal": "use a.equal(b), or ge.equal(a, b).all()",
        "average": "use ge.mean, or multiply by weights",
        "random": "use ge.rand, ge.randn, ge.randint, ge.uniform or ge.normal; ge.manual_seed seeds them",
        "shape": "use x.shape",
        "size": "use x.size or x.shape",
        "percentile": "use ge.quantile, of numbers from 0 to 1",
        "vmap": "it is not there yet; ops take batches in the axes in front",
        "range": "use ge.arange, which leaves out the end",
        "functional_call": "use ge.func.functional_call",
        "cross_entropy": "use ge.nn.functional.cross_entropy",
        "relu6": "use ge.nn.functional.relu6",
        "onnx": "models are not exported; save weights with ge.save",
        "hub": "models are not downloaded; save and load weights with ge.save and ge.load",
        "xpu": "devices are 'cpu' and 'cuda'",
        "mps": "devices are 'cpu' and 'cuda'",
        "mtia": "devices are 'cpu' and 'cuda'",
        "vdot": "use ge.dot or ge.vecdot",
        "power": "use ge.pow",
        "view": "use ge.reshape",
        "identity": "use ge.eye",
        "copy": "use ge.clone",
        **dict.fromkeys(names("diag_indices* mask_indices *_indices_from"), "use ge.tril_indices or ge.triu_indices"),
        "fill": "use x.fill_(value), or ge.full_like",
        "fabs": "use ge.abs",
        "mod": "use ge.remainder",
        "around": "use ge.round",
        "left_shift": "use ge.bitwise_left_shift",
        "right_shift": "use ge.bitwise_right_shift",
        "gradient": "use ge.diff, or ge.grad for derivatives",
        "asanyarray": "use ge.asarray",
        "ascontiguousarray": "use ge.asarray",
    },
    "gradengine.nn": {
        "AdaptiveLogSoftmaxWithLoss": "use CrossEntropyLoss over all classes",
        "CTCLoss": "losses of sequences are not there yet",
        "DataParallel": "there is one process and one device",
        "EmbeddingBag": "use nn.Embedding, and the sum or mean of its rows",
        "LinearCrossEntropyLoss": "use nn.Linear and nn.CrossEntropyLoss; ge.jit fuses them",
        "NLLLoss2d": "use nn.NLLLoss",
        "Upsampl*": LAYERS,
        "LinearCrossEntropyOptions": INTERNAL,
        "Container": "use nn.Sequential, nn.ModuleList or nn.ModuleDict",
        "factory_kwargs": INTERNAL,
        **{f"{start}*": LAYERS for start in ("Fold", "Unfold", "FractionalMaxPool", "LPPool", "MaxUnpool")},
        **{f"Lazy{start}*": LAYERS for start in ("Conv", "BatchNorm", "InstanceNorm")},
        "Multihead*": ATTENTION,
        "Transformer*": ATTENTION,
        **{f"{start}*": LAYERS for start in ("Conv", "MaxPool", "AvgPool", "Adaptive", "LSTM", "GRU", "RNN")},
        **{f"{start}*": NORMS for start in ("BatchNorm", "GroupNorm", "InstanceNorm", "SyncBatchNorm")},
        **{f"{start}*": NORMS for start in ("LocalResponseNorm", "CrossMapLRN")},
    },
    "gradengine.nn.functional": {
        "scaled_dot_product_attention": "write softmax(q @ k.mT / d**0.5) @ v",
        **{f"{start}*": LAYERS for start in ("conv", "max_pool", "avg_pool", "adaptive")},
        **{f"{start}*": NORMS for start in ("batch_norm", "group_norm", "instance_norm", "local_response_norm")},
        **{
            f"{start}*": LAYERS for start in ("fold", "unfold", "interpolate", "upsample", "grid_sample", "affine_grid")
        },
        **dict.fromkeys(names("fractional_max_pool* lp_pool* max_unpool* *channel_shuffle GRID_*"), LAYERS),
        **dict.fromkeys(
            names(
                "Broadcasting* *Type assert_int* boolean_dispatch handle_torch* has_torch* *_notes grouped_mm "
                "scaled_grouped_mm scaled_mm"
            ),
            INTERNAL,
        ),
        "multi_head_attention_forward": ATTENTION,
        "ctc_loss": "losses of sequences are not there yet",
        "embedding_bag": "use F.embedding, and the sum or mean of its rows",
        "linear_cross_entropy": "use F.linear and F.cross_entropy; ge.jit fuses them",
    },
    "gradengine.nn.init": {
        name: f"here it is ge.nn.init.{name}_"
        for name in (
            "constant",
            "dirac",
            "eye",
            "kaiming_normal",
            "kaiming_uniform",
            "normal",
            "orthogonal",
            "sparse",
            "uniform",
            "xavier_normal",
            "xavier_uniform",
        )
    },
    "gradengine.nn.utils": {
        "clip_grad_norm": "here it is ge.nn.utils.clip_grad_norm_",
        "parametrize": PARAMETRIZED,
        "parametrizations": PARAMETRIZED,
        "prune": "multiply weights by a mask in forward",
        **{f"{start}*": PARAMETRIZED for start in ("weight_norm", "spectral_norm", "remove_")},
        **{f"{start}*": LAYERS for start in ("fuse_", "convert_conv")},
    },
    "gradengine.nn.utils.rnn": {"*": "pad_sequence and unpad_sequence are there; recurrent layers are not yet"},
    "gradengine.func": {
        "vmap": "it is not there yet; ops take batches in the axes in front",
        "hessian": "differentiate twice: ge.grad of ge.grad",
        "vjp": "ge.grad with grad_outputs=",
        "*": "ge.func has grad, grad_and_value and functional_call; vmap and Jacobians are not there yet",
    },
    "gradengine.autograd": {
        "*detect_anomaly": "leave it out: invalid operations warn; what looks for NaN in backward is planned",
    },
    "gradengine.optim": {
        "SparseAdam": "gradients are never sparse here; use ge.optim.Adam",
        "swap_in_optimizer_params_and_state": "set the parameters by load_state_dict",
        "*": "there are the optimizers of ge.optim.__all__; write another as a subclass of ge.optim.Optimizer",
    },
    "gradengine.optim.lr_scheduler": {"EPOCH_DEPRECATION_WARNING": INTERNAL},
    "gradengine.optim.swa_utils": {"PARAM_LIST": INTERNAL},
    "gradengine.distributions": {
        **dict.fromkeys(
            names(
                "*Transform *_to *Bernoulli *Binomial *Categorical ExponentialFamily FisherSnedecor GeneralizedPareto "
                "HalfCauchy InverseGamma Kumaraswamy LKJCholesky LogisticNormal LowRankMultivariateNormal Pareto "
                "VonMises Weibull Wishart *"
            ),
            DISTRIBUTION,
        ),
    },
    "gradengine.data": DATA,
    "gradengine.utils": {
        "checkpoint": "nothing recomputes activations yet",
        "tensorboard": "write values with the tensorboard package, from x.item() or x.numpy()",
    },
    "gradengine.utils.data": DATA,
    "gradengine.cuda": {
        "CUDAGraph": "ge.jit captures a step as a CUDA graph",
        "Event": f"use cupy.cuda.Event; {STREAM}",
        "Stream": f"use cupy.cuda.Stream; {STREAM}",
        "current_stream": f"use cupy.cuda.get_current_stream(); {STREAM}",
        "device": "give device= where a Tensor is made, or use ge.set_default_device('cuda:<number>')",
        "max_memory*": PEAK,
        "reset_peak*": PEAK,
        "stream": f"use `with cupy.cuda.Stream():`; {STREAM}",
    },
}
PICKLES = "leave it out: no pickle is ever read"

# What PyTorch's and NumPy's arrays have besides, and what to do instead.
METHODS = {
    "values": "x.max(dim=1), x.sort(dim=1) and their like give (values, indices)",
    "indices": "x.max(dim=1), x.sort(dim=1) and their like give (values, indices)",
    **dict.fromkeys(
        names(
            "cholesky_inverse cholesky_solve eig geqrf lstsq lu lu_solve orgqr ormqr solve symeig "
            "triangular_solve smm "
            "sspaddmm"
        ),
        LINALG,
    ),
    **dict.fromkeys(
        names(
            "ccol_indices col_indices crow_indices row_indices dense_dim sparse_dim to_mkldnn "
            "to_padded_tensor to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr sparse_resize_ "
            "sparse_resize_and_clear_ resize_as_sparse_"
        ),
        SPARSE,
    ),
    **dict.fromkeys(names("q_per_channel_axis q_per_channel_scales q_per_channel_zero_points qscheme"), QUANTIZED),
    **dict.fromkeys(names("chalf conj_physical conj_physical_ is_conj is_neg imag conjugate"), COMPLEX),
    **dict.fromkeys(
        names(
            "as_subclass const_data_ptr dim_order grad_dtype hash_tensor index ipu is_distributed "
            "is_ipu is_maia is_mtia "
            "is_vulkan module_load mtia name new new_empty_strided nonzero_static output_nr record_stream "
            "register_post_accumulate_grad_hook slice_inverse volatile ctypes dump dumps getfield setfield setflags "
            "itemset"
        ),
        INTERNAL,
    ),
    **dict.fromkeys(names("frexp gcd gcd_ lcm lcm_ igammac igammac_ igamma_ i0_ mvlgamma_"), SPECIAL),
    **dict.fromkeys(names("hardshrink prelu"), FUNCTIONAL),
    "narrow_copy": "use .narrow(...)",
    "reinforce": "multiply the log-probability by the reward",
    "vdot": "use .dot(...)",
    "map2_": "use ge's own functions, which work on whole arrays",
    "stride": MEMORY,
    "storage": MEMORY,
    "storage_offset": MEMORY,
    "storage_type": MEMORY,
    "untyped_storage": MEMORY,
    "data_ptr": MEMORY,
    "as_strided": MEMORY,
    "as_strided_scatter": MEMORY,
    "is_set_to": MEMORY,
    "set_": MEMORY,
    "as_strided_": MEMORY,
    "resize": "use x.reshape",
    "resize_": "use x.reshape, or make another Tensor",
    "resize_as": "use x.reshape",
    "resize_as_": "use x.reshape, or make another Tensor",
    "layout": MEMORY,
    "grad_fn": "x.requires_grad and x.is_leaf say whether an op has made it",
    "names": NAMED,
    "rename": NAMED,
    "rename_": NAMED,
    "refine_names": NAMED,
    "align_to": NAMED,
    "align_as": NAMED,
    "apply_": "use ge's own functions, which work on whole arrays",
    "map_": "use ge's own functions, which work on whole arrays",
    "inverse": LINALG,
    "det": LINALG,
    "logdet": LINALG,
    "slogdet": LINALG,
    "cholesky": LINALG,
    "qr": LINALG,
    "svd": LINALG,
    "pinverse": LINALG,
    "matrix_exp": LINALG,
    "matrix_power": LINALG,
    "stft": FFT,
    "istft": FFT,
    "angle": COMPLEX,
    "cfloat": COMPLEX,
    "cdouble": COMPLEX,
    "to_sparse": SPARSE,
    "to_dense": "leave it out: all Tensors are dense",
    "coalesce": SPARSE,
    "is_coalesced": SPARSE,
    "sparse_mask": SPARSE,
    "quantize": QUANTIZED,
    "dequantize": QUANTIZED,
    "int_repr": QUANTIZED,
    "q_scale": QUANTIZED,
    "q_zero_point": QUANTIZED,
    "i0": SPECIAL,
    "igamma": SPECIAL,
    "mvlgamma": SPECIAL,
    "fill": "use .fill_(value)",
    "xpu": "devices are 'cpu' and 'cuda'",
    "argpartition": "use .topk(k) or .argsort()",
    "partition": "use .topk(k) or .sort()",
    "ptp": "use x.max() - x.min()",
    "byteswap": MEMORY,
    "tobytes": "use x.numpy().tobytes()",
    "tofile": "use ge.save",
    "flat": "use .ravel()",
    "strides": MEMORY,
    "flags": MEMORY,
    "base": MEMORY,
    "searchsorted": "use ge.searchsorted(x, values)",
    "compress": "use x[mask]",
    "choose": "use ge.where or .take_along_axis(...)",
}

# By function: what to do instead of an argument.
ARGUMENTS = {
    "load": {
        "pickle_module": PICKLES,
        "mmap": "leave it out: the file is read at once",
    },
}

# By PyTorch's module path: what to do instead of a module that gradengine has not.
ABSENT_MODULES = {
    "autograd.functional": "ge.grad differentiates to any order: a row of a Jacobian or Hessian is ge.grad of one "
    "element, of a gradient made with create_graph=True for a Hessian",
    "distributed": PROCESSES,
    "fft": FFT,
    "linalg": LINALG,
    "multiprocessing": "use Python's multiprocessing; DataLoader(num_workers=) has workers of its own",
    "nn.parallel": PROCESSES,
    "nn.utils.parametrizations": PARAMETRIZED,
    "profiler": "use Python's cProfile",
    "sparse": SPARSE,
    "utils.checkpoint": "recomputation in backward is not there yet",
    "utils.tensorboard": "use the package tensorboardX",
}
