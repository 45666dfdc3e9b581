/* Lifts a recording of any number of persons: overlapping windows, blended into each other.
 *
 *   lift_file_c MODEL KEYPOINTS > POSES
 *
 * A line of KEYPOINTS is one person in one frame: frame, seconds, person, then 17 times
 * "x y confidence", COCO order, pixels of a 1920 x 1080 image. A joint that was not found is "0 0
 * 0". A line of POSES: frame, seconds, person, 17 times "x y z".
 */
#include <inttypes.h>
#include <posemamba/runtime/lifter.h>
#include <stdint.h>
#include <stdio.h>

enum { kPoints = 17, kColumns = 3 };

typedef struct sighting {
  int64_t frame;
  double seconds;
  int32_t person;
  float values[kPoints][kColumns];
} sighting;

static int next_row(FILE* file, sighting* row) {
  if (fscanf(file, "%" SCNd64 "%lf%" SCNd32, &row->frame, &row->seconds, &row->person) != 3)
    return 0;
  for (int i = 0; i < kPoints * kColumns; ++i)
    if (fscanf(file, "%f", &row->values[i / kColumns][i % kColumns]) != 1) return 0;
  return 1;
}

/* Lifts what is due and prints what is ready. */
static pm_result print_ready(pm_lifter* lifter, pm_stream* stream) {
  pm_result result = pm_lifter_step(lifter, NULL);
  pm_pose pose;
  pose.struct_size = sizeof pose;
  while (!result && pm_stream_poll(stream, &pose) == PM_SUCCESS) {
    printf("%" PRId64 " %.6f %" PRId32, pose.frame, pose.timestamp, pose.person);
    for (int i = 0; i < 17 * 3; ++i) printf(" %.6f", pose.joints[i / 3][i % 3]);
    printf("\n");
  }
  return result;
}

static pm_result lift(pm_lifter* lifter, pm_stream* stream, FILE* file) {
  pm_result result = PM_SUCCESS;
  sighting row;
  while (!result && next_row(file, &row)) {
    result = pm_stream_push(stream, row.frame, row.seconds, row.person, &row.values[0][0], kPoints,
                            kColumns);
    if (!result) result = print_ready(lifter, stream);
  }
  if (!result) result = pm_stream_flush(stream);
  if (!result) result = print_ready(lifter, stream);
  return result;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: lift_file_c MODEL KEYPOINTS > POSES\n");
    return 2;
  }
  FILE* file = fopen(argv[2], "r");
  if (file == NULL) {
    perror(argv[2]);
    return 2;
  }
  pm_stream_options options;
  pm_stream_default_options(&options);
  options.keypoints = "coco17";
  options.width = 1920;
  options.height = 1080;
  options.policy = "blend";
  pm_lifter* lifter = NULL;
  pm_stream* stream = NULL;
  pm_result result = pm_lifter_open(argv[1], NULL, &lifter);
  if (!result) result = pm_stream_open(lifter, &options, &stream);
  if (!result) result = lift(lifter, stream, file);
  if (result) fprintf(stderr, "Error: %s\n", pm_last_error());
  pm_stream_close(stream);
  pm_lifter_close(lifter);
  fclose(file);
  return result ? 2 : 0;
}
