export { start, work } from "./control";
