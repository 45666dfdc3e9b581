/* Lifts one person live.
 *
 *   lift_stream_c MODEL < KEYPOINTS
 *
 * A line of input is a frame: 17 times "x y confidence", COCO order, pixels of a 1920 x 1080 image.
 * A joint that was not found is "0 0 0". A line of output: frame, person, 17 times "x y z".
 */
#include <posemamba/runtime/lifter.h>
#include <stdint.h>
#include <stdio.h>

enum { kPoints = 17, kColumns = 3 };

static int next_keypoints(float values[kPoints][kColumns]) {
  for (int i = 0; i < kPoints * kColumns; ++i)
    if (scanf("%f", &values[i / kColumns][i % kColumns]) != 1) return 0;
  return 1;
}

static void draw(const pm_pose* pose) {
  printf("%lld %d", (long long)pose->frame, (int)pose->person);
  for (int i = 0; i < 17 * 3; ++i) printf(" %.6f", pose->joints[i / 3][i % 3]);
  printf("\n");
  fflush(stdout);
}

/* Says what the last call failed with; the exit code. */
static int failed(void) {
  fprintf(stderr, "Error: %s\n", pm_last_error());
  return 2;
}

static int run(pm_lifter* lifter, pm_stream* stream) {
  float values[kPoints][kColumns];
  for (int64_t frame = 0; next_keypoints(values); ++frame) {
    if (pm_stream_push(stream, frame, (double)frame / 30, 0, &values[0][0], kPoints, kColumns) ||
        pm_lifter_step(lifter, NULL))
      return failed();
    pm_pose pose;
    pose.struct_size = sizeof pose;
    while (pm_stream_poll(stream, &pose) == PM_SUCCESS) draw(&pose);
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: lift_stream_c MODEL < KEYPOINTS\n");
    return 2;
  }
  pm_lifter* lifter = NULL;
  if (pm_lifter_open(argv[1], NULL, &lifter)) return failed();
  pm_stream_options options;
  pm_stream_default_options(&options);
  options.keypoints = "coco17";
  options.width = 1920;
  options.height = 1080;
  pm_stream* stream = NULL;
  int code = pm_stream_open(lifter, &options, &stream) ? failed() : run(lifter, stream);
  pm_stream_close(stream);
  pm_lifter_close(lifter);
  return code;
}
