// attn.mjs - attn.h as Node sees it by koffi: structs, functions, errors.
// SPDX-License-Identifier: BSD-3-Clause
//
// Names and meaning are the header's. Arguments are plain objects: what is left out is zero, and the size is set here.
// Arrays are Float32Array, BigInt64Array or Uint8Array, which the library reads and writes where they are.
import koffi from 'koffi';

const library = koffi.load(process.env.ATTN_LIBRARY || 'libattn.so.0');
const zeros = {'uint64': 0, 'int64': 0, 'int32': 0, 'float': 0};

koffi.opaque('attn_context');

/* A struct from pairs of a type and the names of fields; make() fills one. */
function struct(name, groups) {
  const fields = {};
  for (const [type, names] of groups)
    for (const field of names.split(' ')) fields[field] = type;
  const type = koffi.struct(name, fields);
  const nothing = Object.fromEntries(Object.entries(fields).map(([field, kind]) => [field, zeros[kind] ?? null]));
  return {
    type,
    make(given = {}) {
      for (const field of Object.keys(given))
        if (!(field in fields)) throw new TypeError(`${name} has no field ${field}`);
      return {...nothing, ...given, size: koffi.sizeof(type)};
    },
  };
}

export const attn_options = struct('attn_options', [
  ['uint64', 'size'],
  ['int32', 'threads engine isa reserved'],
  ['void *', 'user allocate deallocate parallel_for'],
  ['int32', 'wipe reserved_2'],
]);

export const attn_args = struct('attn_args', [
  ['uint64', 'size'],
  ['int64', 'batch heads_q heads_kv len_q len_k dim dim_v'],
  ['float *', 'query key value output'],
  ['int64 *', 'query_strides key_strides value_strides output_strides'],
  ['int32', 'has_scale'],
  ['float', 'scale'],
  ['int32', 'causal has_window'],
  ['int64', 'offset'],
  ['float *', 'weights'],
  ['int64 *', 'weights_strides'],
  ['float *', 'lse'],
  ['int64 *', 'lse_strides'],
  ['float *', 'scores'],
  ['int64 *', 'scores_strides'],
  ['int32', 'scores_stage'],
  ['float', 'softcap'],
  ['float *', 'bias'],
  ['int64 *', 'bias_strides'],
  ['float *', 'alibi_slopes'],
  ['uint8 *', 'mask'],
  ['int64 *', 'mask_strides'],
  ['int64', 'window_left window_right window_prefix window_dilation'],
  ['int64 *', 'offsets lengths_q lengths_k starts_q starts_k'],
  ['float *', 'sinks centers'],
  ['int64 *', 'centers_strides'],
  ['float *', 'predict_matrix predict_vector'],
  ['int64', 'predict_dim'],
  ['float', 'sigma'],
  ['int32', 'score_function'],
  ['float *', 'score_weight residual'],
  ['int64 *', 'residual_strides'],
  ['float *', 'norm_gain norm_shift'],
  ['int32', 'norm'],
  ['float', 'norm_epsilon'],
]);

export const attn_self_args = struct('attn_self_args', [
  ['uint64', 'size'],
  ['attn_args *', 'attention'],
  ['int64', 'dim_model dim_output'],
  ['float *', 'x'],
  ['int64 *', 'x_strides'],
  ['float *', 'output'],
  ['int64 *', 'output_strides'],
  ['float *', 'weight_qkv weight_q weight_k weight_v weight_o bias_qkv bias_q bias_k bias_v bias_o'],
  ['int32', 'rope'],
  ['float', 'rope_base'],
  ['int64', 'rope_dim'],
]);

export const attn_merge_args = struct('attn_merge_args', [
  ['uint64', 'size'],
  ['int64', 'parts batch heads len_q dim_v'],
  ['float **', 'outputs lses'],
  ['int64 *', 'outputs_strides lses_strides'],
  ['float *', 'output'],
  ['int64 *', 'output_strides'],
  ['float *', 'lse'],
  ['int64 *', 'lse_strides'],
]);

export const attn_plan = struct('attn_plan', [
  ['uint64', 'size scratch_bytes'],
  ['int64', 'threads tasks tile_q tile_k'],
  ['str', 'path engine'],
]);

export const attn_softmax_args = struct('attn_softmax_args', [
  ['uint64', 'size'],
  ['int64', 'rows cols'],
  ['float *', 'input output'],
  ['int64', 'input_stride output_stride'],
  ['int32', 'has_scale'],
  ['float', 'scale'],
  ['float *', 'lse'],
]);

export const attn_info = struct('attn_info', [
  ['uint64', 'size'],
  ['int64', 'threads'],
  ['str', 'cpu cpu_isa isa engine blas blas_flavor blas_core warning'],
]);

const functions = {
  create: library.func('int32 attn_create(_Out_ attn_context **context, attn_options *options)'),
  destroy: library.func('void attn_destroy(attn_context *context)'),
  global: library.func('int32 attn_global(attn_context *context, attn_args *args)'),
  local: library.func('int32 attn_local(attn_context *context, attn_args *args)'),
  self: library.func('int32 attn_self(attn_context *context, attn_self_args *args)'),
  merge: library.func('int32 attn_merge(attn_context *context, attn_merge_args *args)'),
  softmax: library.func('int32 attn_softmax(attn_context *context, attn_softmax_args *args)'),
  explain: library.func('int32 attn_explain(attn_context *context, attn_args *args, _Inout_ attn_plan *plan)'),
  explain_self: library.func(
      'int32 attn_explain_self(attn_context *context, attn_self_args *args, _Inout_ attn_plan *plan)'),
  describe: library.func('int32 attn_describe(attn_context *context, _Inout_ attn_info *info)'),
  description: library.func('str attn_description(attn_context *context)'),
  last_error: library.func('str attn_last_error(attn_context *context)'),
  status_text: library.func('str attn_status_text(int32 status)'),
};
export const version = library.func('int32 attn_version()');
export const version_text = library.func('str attn_version_text()');

/* Threads, scratch memory and kernels, for one call at a time. A call that fails throws the library's sentence. */
export class Context {
  #handle;

  constructor(options = {}) {
    const made = [null];
    const status = functions.create(made, attn_options.make(options));
    if (status !== 0) throw new Error(functions.last_error(null) || functions.status_text(status));
    this.#handle = made[0];
  }

  destroy() {
    functions.destroy(this.#handle);
    this.#handle = null;
  }

  global(args) { this.#call('global', attn_args.make(args)); }
  local(args) { this.#call('local', attn_args.make(args)); }
  self(args) { this.#call('self', this.#layer(args)); }
  merge(args) { this.#call('merge', attn_merge_args.make(args)); }
  softmax(args) { this.#call('softmax', attn_softmax_args.make(args)); }
  explain(args) { return this.#filled('explain', attn_plan.make(), attn_args.make(args)); }
  explain_self(args) { return this.#filled('explain_self', attn_plan.make(), this.#layer(args)); }
  describe() { return this.#filled('describe', attn_info.make()); }
  description() { return functions.description(this.#handle); }

  #layer(args) {
    return attn_self_args.make({...args, attention: attn_args.make(args.attention)});
  }

  #call(verb, ...structs) {
    const status = functions[verb](this.#handle, ...structs);
    if (status === 0) return;
    throw new Error(functions.last_error(this.#handle) || functions.status_text(status));
  }

  #filled(verb, result, ...structs) {
    this.#call(verb, ...structs, result);
    return result;
  }
}
