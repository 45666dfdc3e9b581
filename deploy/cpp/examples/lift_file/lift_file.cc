// Lifts a recording of any number of persons: overlapping windows, blended into each other.
//
//   lift_file MODEL KEYPOINTS > POSES
//
// A line of KEYPOINTS is one person in one frame: frame, seconds, person, then 17 times
// "x y confidence", COCO order, pixels of a 1920 x 1080 image. A joint that was not found is "0 0
// 0". A line of POSES: frame, seconds, person, 17 times "x y z".
#include <array>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <posemamba/runtime/lifter.hpp>
#include <stdexcept>
#include <string>

struct Row {
  std::int64_t frame = 0;
  double seconds = 0;
  std::int32_t person = 0;
  std::array<float, 17 * 3> values{};
};

bool next_row(std::istream& file, Row& row) {
  file >> row.frame >> row.seconds >> row.person;
  for (float& value : row.values) file >> value;
  return static_cast<bool>(file);
}

// Lifts what is due and prints what is ready.
void print_ready(posemamba::Lifter& lifter, posemamba::Stream& stream) {
  lifter.step();
  while (auto pose = stream.poll()) {
    std::cout << pose->frame << ' ' << pose->timestamp << ' ' << pose->person;
    for (const auto& joint : pose->joints)
      for (float value : joint) std::cout << ' ' << value;
    std::cout << '\n';
  }
}

int main(int argc, char** argv) try {
  if (argc != 3) throw std::invalid_argument("usage: lift_file MODEL KEYPOINTS > POSES");
  std::ifstream file(argv[2]);
  if (!file) throw std::invalid_argument(std::string("cannot read '") + argv[2] + "'");
  posemamba::Lifter lifter(argv[1]);
  posemamba::StreamOptions options;
  options.keypoints = "coco17", options.width = 1920, options.height = 1080;
  options.policy = "blend";
  posemamba::Stream stream = lifter.stream(options);
  std::cout << std::fixed;
  for (Row row; next_row(file, row);) {
    stream.push(row.frame, row.seconds, row.person, row.values);
    print_ready(lifter, stream);
  }
  stream.flush();
  print_ready(lifter, stream);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "Error: " << error.what() << '\n';
  return 2;
}
