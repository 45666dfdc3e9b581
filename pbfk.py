import pybullet as p, json, numpy as np, sys, os
import pybullet_data
from pathlib import Path
from posemamba.data import humanoid as h

c = p.connect(p.DIRECT)
d = Path(pybullet_data.getDataPath())
b = p.loadURDF(str(d / "humanoid/humanoid.urdf"), globalScaling=0.25, useFixedBase=False)
J = {}
for i in range(p.getNumJoints(b)):
    info = p.getJointInfo(b, i)
    J[info[12].decode()] = (i, info[2])
    print(i, info[1], info[2], info[12])


def xyzw(q):
    return [q[1], q[2], q[3], q[0]]


rows = []
pos = []
for m, f in (("walk", 5), ("cartwheel", 30), ("dance_a", 40), ("roll", 20)):
    r = np.array(json.loads((d / f"data/motions/humanoid3d_{m}.txt").read_text())["Frames"])[f]
    p.resetBasePositionAndOrientation(b, r[1:4], xyzw(r[4:8]))
    for link, parent, off, first, w in h._LINKS:
        i, t = J[link]
        if w == 4:
            p.resetJointStateMultiDof(b, i, xyzw(r[first : first + 4]), [0, 0, 0])
        if w == 1:
            p.resetJointStateMultiDof(b, i, [r[first]])
    out = {}
    for link in J:
        out[link] = p.getLinkState(b, J[link][0], computeForwardKinematics=1)[4]
    rows.append(r)
    pos.append(out)
got = h.joint_positions(np.array(rows))
print(list(J))
order = [
    None,
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "chest",
    "neck",
    None,
    None,
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
]
for k in range(4):
    print(
        [
            round(float(np.linalg.norm(got[k, j] - np.array(pos[k][n]))), 6)
            for j, n in enumerate(order)
            if n and n in pos[k]
        ]
    )
json.dump(
    {
        "rows": np.array(rows).round(9).tolist(),
        "links": [{n: list(np.round(v, 6)) for n, v in q.items() if n != "root"} for q in pos],
    },
    open("golden.json", "w"),
)
print(os.path.getsize("golden.json"))
