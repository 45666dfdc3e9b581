/* The C interface of libposemamba_runtime.so: live 2D keypoints in, 3D poses out.
 *
 *   pm_lifter*  one opened model. Thread-safe, shared by any number of streams.
 *   pm_stream*  one camera or recording with any number of persons in it.
 *
 *   pm_lifter_open -> pm_stream_open -> [ pm_stream_push ... pm_lifter_step, pm_stream_poll ... ]
 *   -> pm_stream_flush, pm_lifter_step, pm_stream_poll ... -> pm_stream_close -> pm_lifter_close
 *
 * Rules. Every function that can fail returns a pm_result, and pm_last_error() then says in one
 * sentence what was wrong and what mends it. Nothing ends the process, throws, or writes to a
 * stream. Strings and arrays passed in are read during the call and never kept. Structs begin with
 * their size; fields are only ever added at their end. A handle that was closed is refused, from
 * any thread; it is never an address that is read again. So is one that was opened before a fork,
 * in the child: open another there.
 *
 * Axes. x to the right, y down, z away from the camera; the pelvis (joint 0) is the origin.
 *
 *            +---------> x            head 10
 *           /|                          9 nose
 *        z / |               14 15 16 --8-- 11 12 13
 *            v y                        7
 *   (camera in front,                1--0--4
 *    looking along z)                2     5
 *                                    3     6     (1 to 3 and 14 to 16: the person's right)
 */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define PM_RUNTIME_API __declspec(dllexport)
#else
#define PM_RUNTIME_API __attribute__((visibility("default")))
#endif

#define PM_JOINTS 17

typedef struct pm_lifter pm_lifter;
typedef struct pm_stream pm_stream;

typedef enum pm_result {
  PM_SUCCESS = 0,
  PM_BAD_ARGUMENT = 1,   /* the call was wrong; nothing was changed */
  PM_BAD_MODEL = 2,      /* the file is no model of ours, or damaged */
  PM_MISSING = 3,        /* a library, provider or file is not there */
  PM_MISMATCH = 4,       /* engine, plugin, runtime or GPU do not fit together */
  PM_BACKEND_FAILED = 5, /* ONNX Runtime, TensorRT or CUDA failed while running */
  PM_NO_MEMORY = 6,
  PM_NOT_READY = 7 /* nothing due (poll), or too much waits for pm_lifter_step (push) */
} pm_result;

/* This thread's last failure, one sentence. Never NULL; empty before the first. Valid until the
 * next failing call on the thread. Also set by PM_NOT_READY, where it says what is waited for. */
PM_RUNTIME_API const char* pm_last_error(void);
PM_RUNTIME_API const char* pm_version(void);    /* "0.2.0" */
PM_RUNTIME_API const char* pm_build_info(void); /* one JSON object, static storage */

typedef struct pm_lifter_options {
  uint32_t struct_size;        /* set by pm_lifter_default_options */
  const char* backend;         /* "auto", "onnxruntime-cpu", "onnxruntime-cuda", "tensorrt",
                                  "tensorrt-lean", "tensorrt-rtx" */
  const char* runtime_library; /* libonnxruntime.so, libnvinfer.so.10, ...; NULL: a copy already in
                                  the process, beside ours, POSEMAMBA_LIBRARY_PATH, the system */
  const char* op_library;      /* libposemamba_ort.so or libposemamba_trt.so; NULL: beside ours,
                                  then POSEMAMBA_LIBRARY_PATH */
  int32_t device;              /* GPU */
  int32_t threads;             /* of ONNX Runtime on the CPU; 0: its choice */
  int32_t cuda_graph;          /* 1: capture the network once for each size and replay it */
  int32_t allow_fallback;      /* 1: where the back end asked for is not to be had, take ONNX
                                  Runtime on the CPU; pm_lifter_info says so. 0: refuse */
  int32_t tf32;                /* 1: onnxruntime-cuda rounds the inputs of float32 products to 10
                                  bits: faster. 0: it does not. An engine was told when built */
} pm_lifter_options;

/* backend "auto", everything else 0 or NULL. */
PM_RUNTIME_API void pm_lifter_default_options(pm_lifter_options* options);

/* Opens an ONNX model, or a TensorRT engine with its sidecar "<path>.json" where there is one.
 *
 * "auto" takes TensorRT for an engine; for an ONNX model ONNX Runtime's CUDA provider where it and
 * a GPU are there, else the CPU. Frames and batch are those of the session, whatever the metadata
 * says. options may be NULL. On failure *out is NULL. Close it with pm_lifter_close. */
PM_RUNTIME_API pm_result pm_lifter_open(const char* path, const pm_lifter_options* options,
                                        pm_lifter** out);

/* NULL is fine. Streams still open keep their poses; pushes into them are refused from now on. */
PM_RUNTIME_API void pm_lifter_close(pm_lifter* lifter);

/* JSON: model, precision, frames, back end really used, library paths and versions. Lives as long
 * as the lifter. NULL if it was closed. */
PM_RUNTIME_API const char* pm_lifter_info(pm_lifter* lifter);

/* The network and nothing else.
 * keypoints_2d: [batch][frames][17][2] normalised, finite; poses_3d: [batch][frames][17][3]. Any
 * batch: what is more than the model takes is lifted in parts. */
PM_RUNTIME_API pm_result pm_lifter_lift(pm_lifter* lifter, const float* keypoints_2d, int64_t batch,
                                        int64_t frames, float* poses_3d);

/* Lifts every window that is due in the streams of this lifter when it is called; windows of one
 * length go as one batch. Nothing else runs the network. windows_lifted may be NULL. If the back
 * end fails, what was due stays due. A window for which the network gives NaN or infinity has no
 * pose and is not due again; the call says so with PM_BACKEND_FAILED once it has lifted all. */
PM_RUNTIME_API pm_result pm_lifter_step(pm_lifter* lifter, int32_t* windows_lifted);

typedef struct pm_stream_options {
  uint32_t struct_size;  /* set by pm_stream_default_options */
  const char* keypoints; /* "h36m17", "coco17", "coco18", "body25", "body25b", "halpe26",
                            "wholebody133", "mediapipe33" (multiply its fractions by the size);
                             case, - and _ do not matter */
  int32_t width, height; /* pixels of the image the keypoints refer to */
  int32_t window, hop;   /* frames; 0: the model's, 1 */
  const char* policy;    /* "last": the newest frame, no delay. "lag": the frame `lag` before the
                            newest. "center": lag = (window - 1) / 2. "blend": every frame, from
                            windows that start `hop` frames apart, averaged without a seam
                            over what they share; hop < window, delay window - 1 */
  int32_t lag;           /* policy "lag": 0 to window - 1 */
  double rate;           /* frames a second of the input; 0: unknown */
  double model_rate;     /* frames a second the network was trained on; where both are given and
                            differ, windows are resampled by timestamps. 0: frames as they come */
  float min_confidence;  /* below it, or 0, a keypoint was not found */
  int32_t max_persons;   /* at a time */
  int32_t flip;          /* 1: average with the mirrored clip, as a batch of two */
  float smoothing;       /* One-Euro beta; 0: none. Cutoff at rest 1 Hz: delay 0.16 s at rest */
  float height_m;        /* a person's height: output in metres; 0: the network's units */
  int32_t max_gap;       /* frames of the input; 0: the window's, at least 30. See below */
} pm_stream_options;

/* "coco17", policy "last", 16 persons, hop 1; everything else 0. width and height must be set. */
PM_RUNTIME_API void pm_stream_default_options(pm_stream_options* options);

/* What happens to the frames of a person:
 *
 * - Windows of fewer frames than `window` at the start (and, for "center" and "lag", at the end)
 *   are lifted as shorter clips, which the network takes; a model of fixed length gets its first
 *   frame repeated in front.
 * - Frames left out (frame numbers that are missing) are filled in, and have poses. Keypoints that
 *   were not found are filled linearly in time between sightings and held before the first and
 *   after the last one, over the window and the max_gap frames before it. An ear, eye or nose that
 *   no such frame shows is replaced by the one opposite. `filled` marks all of it.
 * - A frame whose window never shows a joint that is needed has no pose; pm_stream_poll says which.
 * - A person who was away for more than max_gap frames starts anew: what was pending becomes due.
 * - The output in metres scales the network's pose by one factor a person: the height given over
 *   the median of the poses' own height (head top to ankle along the bones, taken as 0.96 of a
 *   person's height) of the first 256 poses.
 */
PM_RUNTIME_API pm_result pm_stream_open(pm_lifter* lifter, const pm_stream_options* options,
                                        pm_stream** out);
PM_RUNTIME_API void pm_stream_close(pm_stream* stream); /* NULL is fine */

/* One person in one frame.
 * values: [count][columns], columns 2 (x, y) or 3 (x, y, confidence), pixels. NaN, infinities,
 * (0, 0), pairs of negative numbers and confidence 0 or below min_confidence mean "not found".
 * frame and timestamp (seconds) of one person increase; a timestamp may be NaN where neither
 * resampling nor smoothing needs it, or where `rate` is given (frame / rate is taken).
 * Refused: coordinates that cannot be pixels of the image, such as fractions. PM_NOT_READY: 16,384
 * frames of the person wait for pm_lifter_step. */
PM_RUNTIME_API pm_result pm_stream_push(pm_stream* stream, int64_t frame, double timestamp,
                                        int32_t person, const float* values, int32_t count,
                                        int32_t columns);

typedef struct pm_pose {
  uint32_t struct_size; /* sizeof(pm_pose), or 0, before the first poll; then what was written */
  int32_t person;
  int64_t frame;
  double timestamp;
  float joints[PM_JOINTS]
              [3]; /* x right, y down, z away from the camera; the pelvis at the origin */
  uint32_t filled; /* bit j: joint j was filled in, not seen */
} pm_pose;

/* The next pose, oldest first; PM_NOT_READY: none due. */
PM_RUNTIME_API pm_result pm_stream_poll(pm_stream* stream, pm_pose* out);
/* Number of poses that pm_stream_poll would give now. */
PM_RUNTIME_API pm_result pm_stream_ready(pm_stream* stream, int32_t* poses);
/* No more frames: what is pending becomes due. Frames pushed afterwards start anew. */
PM_RUNTIME_API pm_result pm_stream_flush(pm_stream* stream);
/* pm_stream_flush of one person, who has left. */
PM_RUNTIME_API pm_result pm_stream_end(pm_stream* stream, int32_t person);
/* Forgets a person, with what is pending and what was not polled yet; -1: all. */
PM_RUNTIME_API pm_result pm_stream_reset(pm_stream* stream, int32_t person);
/* How long after its own frame a pose can be had, at most: in frames of the input, rounded up, and
 * in seconds (NaN where neither rate nor model_rate is known). Smoothing's delay is in it, where a
 * rate is known. With a hop, all but "blend" give a pose for every hop-th frame alone. Either
 * pointer may be NULL. */
PM_RUNTIME_API pm_result pm_stream_delay(const pm_stream* stream, int32_t* frames, double* seconds);

#ifdef __cplusplus
}
#endif
