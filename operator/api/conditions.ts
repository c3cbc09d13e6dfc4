/**
 * The conditions of a cluster and every reason that each may have, by status. What is not in this
 * table cannot be written.
 */
export const CONDITION_REASONS = {
  Ready: {
    True: ['PodsReady'],
    False: ['Bootstrapping', 'NotAvailable', 'PodsNotReady'],
    Unknown: ['AvailableUnknown'],
  },
  Available: {
    True: ['Serving'],
    False: ['NoLeader', 'QuorumLost', 'MetadataLost', 'TooFewVolumes', 'Bootstrapping'],
    Unknown: ['NoAnswer'],
  },
  Bootstrapped: {
    True: ['Bootstrapped'],
    False: ['WaitingForCoordinators', 'ClusterIDConflict', 'ForeignClaim', 'VolumesNotEmpty'],
    Unknown: [],
  },
  QuorumHealthy: {
    True: ['MembersHealthy'],
    False: ['MemberDown', 'MemberDataLost', 'NoLeader', 'QuorumLost', 'MetadataLost'],
    Unknown: ['LeaderUnknown'],
  },
  DataRedundant: {
    True: ['FullyReplicated'],
    False: ['UnderReplicated', 'DataLost'],
    Unknown: ['LeaderUnknown'],
  },
  Progressing: {
    True: ['Creating', 'Applying', 'RollingVolumes', 'RollingCoordinators', 'ScalingOut'],
    False: ['Settled', 'ApplyRejected', 'OverlayRejected', 'WaitingForOldObjects'],
    Unknown: [],
  },
  Degraded: {
    True: ['BrokenPod', 'MemberDataLost', 'ClaimLost', 'DiskReplaced', 'DataLost'],
    False: ['AsExpected'],
    Unknown: [],
  },
  RollBlocked: {
    True: [
      'BrokenPod',
      'Quorum',
      'UnderReplicated',
      'VolumeUnavailable',
      'Budget',
      'ClaimLost',
      'StateUnknown',
    ],
    False: ['NotBlocked'],
    Unknown: [],
  },
  ChangeHeld: {
    True: ['VolumeScaleIn', 'CoordinatorCount'],
    False: ['NothingHeld'],
    Unknown: [],
  },
  Suspended: { True: ['Requested'], False: ['NotRequested'], Unknown: [] },
} as const;

type Table = typeof CONDITION_REASONS;

export type ConditionType = keyof Table;

/**
 * A judgement before it is written: `lastTransitionTime` and `observedGeneration` are added where
 * status is. `ConditionFinding<'Ready'>` is that of one type.
 */
export type ConditionFinding<T extends ConditionType = ConditionType> = {
  [Type in T]: {
    [Status in keyof Table[Type]]: {
      readonly type: Type;
      readonly status: Status;
      readonly reason: ReasonsOf<Table[Type][Status]>;
      readonly message: string;
    };
  }[keyof Table[Type]];
}[T];

type ReasonsOf<List> = List extends readonly (infer Reason)[] ? Reason : never;
