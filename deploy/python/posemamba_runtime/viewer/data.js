// The motion as the page holds it: base64 of little-endian numbers, decoded once.

const JOINTS = 17;
const MISSING = -32768;

function decode(text, Kind) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Kind(bytes.buffer);
}

// `rowAt[index]` is the row of a person's arrays at a place of the timeline, or -1.
function readPerson(stored, length) {
  const rows = decode(stored.rows, Int32Array);
  const rowAt = new Int32Array(length).fill(-1);
  rows.forEach((index, row) => { rowAt[index] = row; });
  return {
    person: stored.person,
    shown: true,
    rowAt,
    points: decode(stored.points, Int16Array),
    pixels: decode(stored.pixels, Int16Array),
    filled: decode(stored.filled, Uint8Array),
  };
}

function readMotion() {
  const stored = JSON.parse(document.getElementById("motion").textContent);
  const frames = decode(stored.frames, Float64Array);
  const { pictures } = stored.image;
  pictures.places = decode(pictures.places, Int32Array);
  pictures.decoded = [];
  return {
    ...stored,
    frames,
    times: decode(stored.times, Float32Array),
    people: stored.people.map((person) => readPerson(person, frames.length)),
  };
}

// The video at a place of the timeline: the last picture at or before it, or null. Pictures are
// decoded when first wanted; `ready` is called when one is, to draw again.
function pictureAt(motion, index, ready) {
  const { places, jpegs, decoded } = motion.image.pictures;
  let number = -1;
  while (number + 1 < places.length && places[number + 1] <= index) number++;
  if (number < 0) return null;
  if (decoded[number] === undefined) {
    decoded[number] = null;
    const bytes = new Blob([decode(jpegs[number], Uint8Array)], { type: "image/jpeg" });
    createImageBitmap(bytes).then((bitmap) => { decoded[number] = bitmap; ready(); }, () => {});
  }
  return decoded[number];
}

// The pose of a person at a place of the timeline, or null: joints in the scene (x, y, z), in the
// image (x, y, or null where not found), and which were filled in.
function poseAt(motion, person, index) {
  const row = person.rowAt[index];
  if (row < 0) return null;
  const pose = { scene: [], image: [], filled: [] };
  for (let joint = row * JOINTS; joint < (row + 1) * JOINTS; joint++) {
    const [x, y, z] = person.points.subarray(3 * joint, 3 * joint + 3);
    const scale = motion.scene.scale;
    pose.scene.push([x * scale, y * scale, z * scale]);
    const [u, v] = person.pixels.subarray(2 * joint, 2 * joint + 2);
    const found = u !== MISSING && v !== MISSING;
    pose.image.push(found ? [u * motion.image.scale, v * motion.image.scale] : null);
    pose.filled.push(person.filled[joint] !== 0);
  }
  return pose;
}
