/** Settings of containerd and of the network plugins that it calls for each pod. */
import { join } from 'node:path';
import { IMAGES } from './images.ts';
import type { ClusterNode } from './settings.ts';

const UNUSED_PLUGINS = [
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.internal.v1.tracing',
];

/** A configuration in TOML. */
export function containerdSettings({ folder }: ClusterNode): string {
  return `
version = 2
root = "${join(folder, 'containerd')}"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ${JSON.stringify(UNUSED_PLUGINS)}
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "${join(folder, 'containerd-opt')}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGES.pause}"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE a lower score is refused, and every sandbox would die of it.
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${join(folder, 'cni')}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
}

/** A bridge for the pods of the node, each with an address of the node's range. */
export function networkSettings({ podRange }: ClusterNode) {
  return {
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipMasq: false,
        mtu: 1500,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: podRange }]],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: '/var/lib/cni/networks',
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}
