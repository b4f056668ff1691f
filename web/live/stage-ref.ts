/** One round of one stage of the build that is shown. */
export interface StageRef {
  readonly name: string;
  readonly round: number;
}
