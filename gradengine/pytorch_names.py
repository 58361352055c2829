"""Hints for the tail of PyTorch's public names: what `migration_hints` does not mention one by one.

`BY_PATTERN` has patterns of names by module and hint, and is read when a name is asked for that is not there. The names
in `TENSOR` stand in full: each becomes an attribute of Tensor that raises.
"""

from __future__ import annotations

INTERNAL = "it belongs to PyTorch's own workings"
JIT = "it belongs to PyTorch's own compiler; use ge.jit, which traces and compiles a function"
LAYERS = "layers of convolution, pooling, padding and resizing are not there yet"
NORMS = "layer norm is the one normalisation that there is"
IN_PLACE = "functions do not work in place; use the Tensor's own method, or t.copy_(...)"
VIEWS = "copies are made where they are needed; use the function without _copy"
AUTOCAST = "use ge.autocast, ge.is_autocast_enabled and ge.get_autocast_dtype"
SYMBOLS = "shapes are known when a function is traced; there are no symbolic numbers"
SPARSE = "there are no sparse Tensors; use index arrays with ge.index_add and x[index]"
QUANTIZED = "there are no quantised Tensors; use ge.float16 or ge.bfloat16"
COMPLEX = "there are no complex numbers; keep the real and the imaginary part in two Tensors"
LINALG = "most of linear algebra is not there yet; there are @, ge.norm, ge.trace, ge.outer and ge.einsum"
SPECIAL = "of the special functions there are erf, erfc, erfinv, lgamma, digamma and polygamma"
DEVICES = "devices are 'cpu' and 'cuda'; ask t.device or t.is_cuda"
DETERMINISM = "results are the same at every run; nothing is to be switched on"
MEMORY = "how memory is laid out is no concern here: arrays are values"
INTEGERS = "common divisors and multiples are not there; use np.gcd and np.lcm on integer Tensors"
LOSSES = "this loss is not there; write it as a function of Tensors, whose gradient comes by itself"
OLD = "PyTorch keeps this name for old programs; use the name with _ at its end"
DATAPIPES = "use Dataset and IterableDataset"
ANOMALY = "invalid operations warn by themselves; ge.inspect has what looks for NaN"

BY_PATTERN: dict[str, dict[str, str]] = {
    "gradengine": {
        JIT: (
            "AliasDb Argument* *Type *TypePtr Benchmark* Block CallStack Capsule Code CompilationUnit Complete* "
            "ConcreteModule* DeepCopyMemoTable ErrorReport Execution* FileCheck FunctionSchema Gradient Graph* "
            "IODescriptor JITException LiteScript* Node OperatorInfo PyTorchFile* *StorageContext StaticModule "
            "Throughput* Use Value Script* Tracing* import_ir* parse_* merge_type* unify_type* Type jit* cond "
            "while_loop fork wait InferredType Future"
        ),
        INTERNAL: (
            "AVG SUM Aggregation* AcceleratorError Disable* Dispatch* ExcludeDispatch* FatalError LockingLogger "
            "LoggerBase NoopLogger PRIVATE_OPS StreamObj* DeviceObj* Tag USE_* bit classproperty compiled_with* "
            "get_file_path has_* hash_tensor init_num_threads is_vulkan* is_distributed is_storage is_warn_always* "
            "prepare_multi* profiler_* thread_safe* fused_moving* native_* "
            "slice_inverse autocast_*crement* unsafe_* segment_reduce nonzero_static "
            "read_vitals set_vital vitals_enabled Generator* is_inference is_neg resize_as*"
        ),
        SYMBOLS: "Sym* sym_*",
        AUTOCAST: "*autocast* GradScaler",
        DETERMINISM: "*determinis*",
        ANOMALY: "*anomaly*",
        SPARSE: "hsmm *_indices* values_copy jagged",
        QUANTIZED: "qscheme *quantized*",
        MEMORY: "legacy_contiguous_format *_stride* as_strided* narrow_copy",
        VIEWS: "*_copy",
        LAYERS: "affine_grid* constant_pad_nd pixel_*",
        IN_PLACE: "*_",
        "use x.detach()": "detach*",
        "use x.fill_(value), or ge.full_like": "fill",
        "set parameters as attributes, or use nn.ModuleList and nn.ModuleDict": "*Dict *List",
        "use cupy.cuda.Stream and cupy.cuda.Event; ops run on CuPy's current stream": "Stream Event",
        "use ge.set_default_device, or give device=": "set_default_tensor_type",
        "the default dtype is float32; give dtype= where a Tensor is made": "*_default_dtype",
        "use x.__dlpack__(), or give the Tensor to the other library's from_dlpack": "to_dlpack",
        "write x[index] = value, or use ge.index_add": "index_put* index_reduce",
        "use np.histogramdd on the values": "histogramdd",
        "use ge.bernoulli and sum": "binomial",
        SPECIAL: "i0 igamma* mvlgamma",
        INTEGERS: "gcd lcm",
        "use ge.asarray(np.frombuffer(...))": "frombuffer from_file",
        "use np.frexp on the values": "frexp",
        "use ge.dot or ge.vecdot": "vdot",
        LINALG: "vander *norm_except_dim",
    },
    "gradengine.nn": {
        LAYERS: "*Pool?d *Pad?d *Unpool?d Fold Unfold Upsampl* Pixel* LazyConv* Conv*",
        NORMS: "LazyBatchNorm* LazyInstanceNorm* *LocalResponseNorm CrossMapLRN2d *Norm*",
        LOSSES: "*Loss* LinearCrossEntropy*",
        "there is one process; training on several is not there yet": "DataParallel",
        "use nn.Linear with the size of its input": "Lazy* Uninitialized*",
        "sum or average what nn.Embedding gives": "EmbeddingBag",
        "use nn.Sequential, nn.ModuleList or nn.ModuleDict": "Container",
        INTERNAL: "factory_kwargs",
    },
    "gradengine.nn.functional": {
        LAYERS: (
            "*pool?d* *unpool?d fold unfold upsample* interpolate pixel_* *channel_shuffle affine_grid grid_sample "
            "GRID_* dropout?d conv*"
        ),
        NORMS: "*response_norm *_norm",
        LOSSES: "*_loss *cross_entropy",
        "attention is not there yet; write ge.softmax(q @ k.mT / d**0.5, axis=-1) @ v": "multi_head_attention*",
        INTERNAL: (
            "Broadcasting* *Type assert_int* boolean_dispatch handle_torch* has_torch* *_notes grouped_mm scaled_*mm"
        ),
        "functions do not work in place; use the function without _": "*_",
        "sum or average what F.embedding gives": "embedding_bag",
    },
    "gradengine.nn.utils": {
        "use clip_grad_norm_": "clip_grad_norm",
        "parametrisations of weights are not there; compute the weight in forward": "*spectral_norm *weight_norm",
        "layers of convolution and batch normalisation are not there yet": "convert_conv* fuse_*",
        "pruning and packed sequences are not there": "*prune* *rnn*",
    },
    "gradengine.nn.init": {
        "layers of convolution are not there yet": "dirac*",
        "use trunc_normal_, or a mask": "sparse*",
        OLD: "constant dirac eye kaiming_normal kaiming_uniform normal orthogonal sparse uniform xavier_*",
    },
    "gradengine.optim": {
        "set the parameters by load_state_dict": "swap_in*",
        "there are the optimizers of ge.optim.__all__; write another as a subclass of ge.optim.Optimizer": "*",
    },
    "gradengine.optim.lr_scheduler": {
        INTERNAL: "EPOCH*",
    },
    "gradengine.optim.swa_utils": {
        INTERNAL: "PARAM*",
    },
    "gradengine.utils.data": {
        DATAPIPES: "*DataPipe DataChunk functional_datapipe *determinis* *_validation* argument_*",
    },
    "gradengine.distributions": {
        "this distribution is not there; write its log_prob with the functions that there are": "*",
    },
}

BY_HINT = {
    "use ge's own functions, which work on whole arrays": "map2_ map_",
    MEMORY: "as_strided_ const_data_ptr dim_order new_empty_strided narrow_copy set_",
    COMPLEX: "chalf conj_physical conj_physical_ is_conj is_neg",
    LINALG: "cholesky_inverse cholesky_solve eig geqrf lstsq lu lu_solve orgqr ormqr solve symeig triangular_solve",
    SPARSE: (
        "ccol_indices col_indices crow_indices row_indices dense_dim sparse_dim sparse_resize_ "
        "sparse_resize_and_clear_ is_sparse_csr smm sspaddmm to_sparse_bsc to_sparse_bsr to_sparse_coo "
        "to_sparse_csc to_sparse_csr resize_as_sparse_ to_padded_tensor"
    ),
    QUANTIZED: "q_per_channel_axis q_per_channel_scales q_per_channel_zero_points qscheme",
    DEVICES: "ipu is_ipu is_maia is_mtia is_vulkan mtia to_mkldnn",
    SPECIAL: "i0_ igamma_ igammac igammac_ mvlgamma_",
    INTEGERS: "gcd gcd_ lcm lcm_",
    INTERNAL: (
        "as_subclass grad_dtype hash_tensor index is_distributed module_load name output_nr record_stream reinforce "
        "slice_inverse volatile nonzero_static frexp"
    ),
    "write t[index] = value, or use t.index_add": "index_reduce index_reduce_",
    "use t.register_hook": "register_post_accumulate_grad_hook",
    "use ge.imag": "imag",
    "use ge.dot or ge.vecdot": "vdot",
    "use ge.tensor(data, dtype=t.dtype, device=t.device)": "new",
    "it is in ge.nn.functional": "prelu hardshrink",
}
TENSOR = {name: hint for hint, names in BY_HINT.items() for name in names.split()}
