/**
 * Schemas of the messages that cross nodes, as checks that throw. Fields that a newer build adds are let
 * through and ignored.
 * @module
 */
export { checkGenerateEvent, checkGenerateRequest, checkStatus } from "./router.ts";
export {
  checkHiddenStates,
  checkPartitionStep,
  checkReplicaRequest,
  checkSampledToken,
  checkShardAnswer,
  checkShardRequest,
  checkStepResult,
  checkVocabulary,
} from "./replica.ts";
export { checkHostOrder, checkUnhostOrder, parseNodeFacts } from "./node.ts";
export { checkClusterStatus, checkName } from "./desk.ts";
