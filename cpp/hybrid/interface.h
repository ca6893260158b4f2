/* What the op Tf2TrtEngine (op.cpp) asks of libtf2trt_hybrid.so. Plain C: the op is compiled against the TensorFlow
 * that is installed, by whatever compiler is there, and no C++ object passes between the two. */
#ifndef TF2TRT_HYBRID_INTERFACE_H
#define TF2TRT_HYBRID_INTERFACE_H

#include <stddef.h>  // NOLINT(modernize-deprecated-headers): C reads this file too
#include <stdint.h>  // NOLINT(modernize-deprecated-headers)

#ifdef __cplusplus
extern "C" {
#endif

#define TF2TRT_HYBRID_API __attribute__((visibility("default")))
#define TF2TRT_HYBRID_MAX_RANK 8

/* NOLINTBEGIN(readability-identifier-naming): C names */

/* What a call came to. Where it is not OK, `message` says why: at most `size` bytes with the zero at their end. */
enum tf2trt_hybrid_status {
  TF2TRT_HYBRID_OK = 0,
  TF2TRT_HYBRID_NO_FIT = 1, /* the engine was not built for this: nothing was queued */
  TF2TRT_HYBRID_FAILED = 2  /* an engine that cannot be used, or a run that went wrong */
};

typedef struct tf2trt_hybrid_engines tf2trt_hybrid_engines; /* of one segment on one GPU */
typedef struct tf2trt_hybrid_run tf2trt_hybrid_run;

/* A tensor of the segment: its name in the engine, and its type as NumPy has it ("float32"), or "bfloat16". */
typedef struct {
  char const* name;
  char const* dtype;
} tf2trt_hybrid_tensor;

typedef struct {
  int32_t rank;
  int64_t extents[TF2TRT_HYBRID_MAX_RANK];
} tf2trt_hybrid_shape;

typedef struct {
  char* text;
  size_t size;
} tf2trt_hybrid_message;

/* Folders in which TensorRT is looked for before the loader's own search. For engines that are opened afterwards. */
TF2TRT_HYBRID_API void tf2trt_hybrid_search(char const* const* folders, size_t count);

/* A segment, and what its engines come from. */
typedef struct {
  char const* engine;    /* the plan's path; "" where there is none */
  char const* onnx;      /* the file to build from for shapes that the plan does not take; "" where nothing is built */
  char const* precision; /* of such a build: "fp32", "tf32", "fp16", "bf16", "int8" or "int8+fp16" */
  char const* calibration; /* a cache of TensorRT's minmax calibrator, for INT8 without scales in the file; or "" */
  int64_t workspace;       /* its scratch memory in bytes; 0 leaves it to TensorRT */
  int generation;          /* 8, 10 or 11: of the TensorRT that the file was made for */
  int most_built;          /* engines built here that are kept; the one used least lately goes */
  tf2trt_hybrid_tensor const* inputs;
  size_t input_count;
  tf2trt_hybrid_tensor const* outputs;
  size_t output_count;
} tf2trt_hybrid_segment;

typedef struct {
  tf2trt_hybrid_run* run;
  size_t scratch_size; /* bytes of device memory that the run needs beside inputs and outputs */
  int built;           /* whether the call built an engine: also where it fails after that */
} tf2trt_hybrid_begun;

/* Opens a segment's plan on the GPU of number `device`. What is open already is shared. FAILED where there is no such
 * file, TensorRT does not read it here, or its tensors are not those given: then nothing is built either. */
TF2TRT_HYBRID_API int tf2trt_hybrid_open(tf2trt_hybrid_segment const* segment, int device,
                                         tf2trt_hybrid_engines** opened, tf2trt_hybrid_message message);
/* No run of it may be between begin and end. Waits for the work that it has queued where nobody else has it open. */
TF2TRT_HYBRID_API void tf2trt_hybrid_close(tf2trt_hybrid_engines* engines);

/* Takes an execution context for these shapes of the inputs on `stream` (a CUstream). Tells the outputs' shapes. Blocks
 * while another thread is between begin and end with it; never waits for the GPU but where it builds.
 *
 * Where no engine takes the shapes and there is an ONNX file, it builds one, which takes seconds to minutes; one at a
 * time in the process. While another call builds for the same shapes it gives NO_FIT, or waits with `must_run`.
 *
 * NO_FIT where there is no engine: what could not be built is not tried again. */
TF2TRT_HYBRID_API int tf2trt_hybrid_begin(tf2trt_hybrid_engines* engines, void* stream,
                                          tf2trt_hybrid_shape const* inputs, int must_run, tf2trt_hybrid_shape* outputs,
                                          tf2trt_hybrid_begun* begun, tf2trt_hybrid_message message);
/* Queues the work on the stream; does not wait. The addresses are on the device, nullptr where a tensor is empty.
 * NO_FIT where one is not a multiple of 256, as TensorRT wants them. `scratch` is free for others once the work is
 * done, and so for what is queued on the same stream afterwards. After FAILED part of the work may have been queued. */
TF2TRT_HYBRID_API int tf2trt_hybrid_enqueue(tf2trt_hybrid_run* run, void const* const* inputs, void* const* outputs,
                                            void* scratch, tf2trt_hybrid_message message);
/* Gives the context back. After each begin that was OK, whatever came of enqueue. */
TF2TRT_HYBRID_API void tf2trt_hybrid_end(tf2trt_hybrid_run* run);

/* NOLINTEND(readability-identifier-naming) */

#ifdef __cplusplus
}
#endif

#endif
