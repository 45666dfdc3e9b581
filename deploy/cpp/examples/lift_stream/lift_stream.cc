// Lifts one person live.
//
//   lift_stream MODEL < KEYPOINTS
//
// A line of input is a frame: 17 times "x y confidence", COCO order, pixels of a 1920 x 1080 image.
// A joint that was not found is "0 0 0". A line of output: frame, person, 17 times "x y z".
#include <iostream>
#include <posemamba/runtime/lifter.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) throw std::invalid_argument("usage: lift_stream MODEL < KEYPOINTS");
  posemamba::Lifter lifter(argv[1]);
  posemamba::StreamOptions options;
  options.keypoints = "coco17", options.width = 1920, options.height = 1080;
  posemamba::Stream stream = lifter.stream(options);
  float values[17 * 3];
  for (std::int64_t frame = 0;; ++frame) {
    for (float& value : values)
      if (!(std::cin >> value)) return 0;
    stream.push(frame, frame / 30.0, 0, values);
    lifter.step();
    while (auto pose = stream.poll()) {
      std::cout << pose->frame << ' ' << pose->person;
      for (const auto& joint : pose->joints)
        std::cout << ' ' << joint[0] << ' ' << joint[1] << ' ' << joint[2];
      std::cout << std::endl;
    }
  }
} catch (const std::exception& error) {
  std::cerr << "Error: " << error.what() << '\n';
  return 2;
}
