/** Generations over several routers: the least loaded answers, another goes on when it is lost. */
export { Balancer } from "./balancer.ts";
export {
  createGenerations,
  type Failover,
  type Generate,
  type GenerationControl,
} from "./generations.ts";
