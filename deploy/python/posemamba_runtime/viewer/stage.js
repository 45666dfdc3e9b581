// Drawing: a canvas for the image's plane, and one for the scene as an orbiting eye sees it.

const HOME = { yaw: 0.45, pitch: 0.22, zoom: 1 };
const LENS = 2.2; // distance of the eye from a screen of half-width 1
const BONE = 0.022, JOINT = 0.02; // widths as shares of the scene's size

// Sharp at any pixel density; the drawing then counts in CSS pixels.
function prepare(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const density = window.devicePixelRatio || 1;
  const across = Math.round(width * density), down = Math.round(height * density);
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.lineCap = "round";
  return { pen, width, height };
}

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: colour("ink"), muted: colour("muted"), line: colour("line"), floor: colour("floor"),
    panel: colour("panel"), middle: colour("middle"),
    people: [0, 1, 2, 3, 4, 5].map((n) => colour(`c${n}`)),
  };
}

// One person: left and right differ in colour. Several: each has one, thinner on the right.
function coloursOf(theme, number, people) {
  if (people === 1) return { middle: theme.middle, left: theme.people[0], right: theme.people[1] };
  const own = theme.people[number % theme.people.length];
  return { middle: own, left: own, right: own };
}

const sideName = (side) => (side > 0 ? "left" : side < 0 ? "right" : "middle");

// Bones from far to near, then the joints over them. `places` are [x, y, scale, depth] on the
// canvas, or null; a joint that was filled in is hollow.
function drawBody(pen, motion, places, pose, look, theme) {
  const joints = places.map((_, joint) => joint).filter((joint) => places[joint]);
  const depth = (joint) => places[joint][3] + places[motion.parents[joint]][3];
  const colourOf = (joint) => look.colours[sideName(motion.sides[joint])];
  const bones = joints.filter((joint) => joint && places[motion.parents[joint]]);
  for (const joint of bones.sort((a, b) => depth(b) - depth(a))) {
    const here = places[joint], there = places[motion.parents[joint]];
    const thin = motion.people.length > 1 && motion.sides[joint] < 0 ? 0.55 : 1;
    pen.strokeStyle = colourOf(joint);
    pen.lineWidth = Math.max(1.2, look.bone * thin * (here[2] + there[2]) / 2);
    pen.beginPath();
    pen.moveTo(here[0], here[1]);
    pen.lineTo(there[0], there[1]);
    pen.stroke();
  }
  for (const joint of joints.sort((a, b) => places[b][3] - places[a][3])) {
    const [x, y, scale] = places[joint];
    pen.beginPath();
    pen.arc(x, y, Math.max(1.6, look.joint * scale), 0, 2 * Math.PI);
    pen.fillStyle = pose.filled[joint] ? theme.panel : colourOf(joint);
    pen.fill();
    if (!pose.filled[joint]) continue;
    pen.strokeStyle = colourOf(joint);
    pen.lineWidth = 1.5;
    pen.stroke();
  }
}

function drawFlat(canvas, motion, poses, picture, theme) {
  const { pen, width, height } = prepare(canvas);
  const [left, top, wide, high] = motion.image.box;
  const scale = Math.min(width / wide, height / high);
  const originX = (width - wide * scale) / 2 - left * scale;
  const originY = (height - high * scale) / 2 - top * scale;
  if (motion.image.size) {
    const [across, down] = motion.image.size;
    if (picture) {
      pen.globalAlpha = 0.7; // the keypoints are what is looked at
      pen.drawImage(picture, originX, originY, across * scale, down * scale);
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = theme.line;
    pen.strokeRect(originX, originY, across * scale, down * scale);
  }
  poses.forEach((pose, number) => {
    if (!pose) return;
    const places = pose.image.map((p) => p && [p[0] * scale + originX, p[1] * scale + originY, 1, 0]);
    const colours = coloursOf(theme, number, motion.people.length);
    drawBody(pen, motion, places, pose, { colours, bone: 2.6, joint: 2.8 }, theme);
  });
}

// The eye looks at half the scene's height; (x, y, z) to [x, y, scale, depth], null behind it.
function lensOf(motion, eye, width, height) {
  const { reach, height: tall } = motion.scene;
  const size = Math.max(reach, tall / 2);
  const distance = (LENS * size * 1.25) / eye.zoom;
  const focal = (LENS * Math.min(width, height)) / 2;
  const [cy, sy] = [Math.cos(eye.yaw), Math.sin(eye.yaw)];
  const [cp, sp] = [Math.cos(eye.pitch), Math.sin(eye.pitch)];
  const project = ([x, y, z]) => {
    const right = x * cy - z * sy, near = x * sy + z * cy, up = y - tall / 2;
    const depth = distance - (near * cp + up * sp);
    if (depth < 0.05 * distance) return null;
    const scale = focal / depth;
    return [width / 2 + right * scale, height / 2 - (up * cp - near * sp) * scale, scale, depth];
  };
  return { project, size };
}

function drawFloor(pen, motion, project, theme) {
  const { step, reach, height: tall } = motion.scene;
  const cells = Math.ceil(reach / step + 0.25);
  const edge = cells * step;
  pen.strokeStyle = theme.floor;
  pen.lineWidth = 1;
  const line = (from, to) => {
    const a = project(from), b = project(to);
    if (!a || !b) return;
    pen.beginPath();
    pen.moveTo(a[0], a[1]);
    pen.lineTo(b[0], b[1]);
    pen.stroke();
  };
  for (let i = -cells; i <= cells; i++) {
    for (let j = -cells; j < cells; j++) { // cell by cell, so that those behind the eye are left out
      line([i * step, 0, j * step], [i * step, 0, (j + 1) * step]);
      line([j * step, 0, i * step], [(j + 1) * step, 0, i * step]);
    }
  }
  pen.fillStyle = theme.muted;
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "center";
  const mark = (text, place) => {
    const at = project(place), half = pen.measureText(text).width / 2 + 2;
    if (at) pen.fillText(text, Math.min(Math.max(at[0], half), pen.canvas.clientWidth - half), at[1]);
  };
  const away = 1.15 * Math.max(reach, tall / 3);
  mark("camera side", [0, 0, away]);
  mark("image right", [away, 0, 0]);
}

function drawDeep(canvas, motion, poses, eye, theme) {
  const { pen, width, height } = prepare(canvas);
  const { project, size } = lensOf(motion, eye, width, height);
  drawFloor(pen, motion, project, theme);
  const seen = poses.map((pose, number) => ({ pose, number })).filter(({ pose }) => pose);
  for (const one of seen) {
    one.places = one.pose.scene.map(project);
    one.depth = one.places[0] ? one.places[0][3] : 0;
  }
  seen.sort((a, b) => b.depth - a.depth);
  const body = Math.min(size, motion.scene.height);
  for (const { pose, number, places } of seen) {
    const colours = coloursOf(theme, number, motion.people.length);
    drawBody(pen, motion, places, pose, { colours, bone: BONE * body, joint: JOINT * body }, theme);
  }
  if (!seen.length) {
    pen.fillStyle = theme.muted;
    pen.font = "14px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.fillText("nobody in this frame", width / 2, height / 2);
  }
}
