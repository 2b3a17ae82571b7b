// Command enforcer makes the network policies of a cluster hold on this node: kube-router's
// controller of them, without its routing and its services.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	settings := options.NewKubeRouterConfig()
	settings.EnableIPv4 = true
	flag.StringVar(&settings.Kubeconfig, "kubeconfig", "", "who it is to the API server")
	flag.StringVar(&settings.HostnameOverride, "node", "", "the name of this node")
	flag.StringVar(&settings.ClusterIPCIDRs[0], "services", "", "the subnet of the services")
	version := flag.Bool("version", false, "only say what this is")
	flag.Parse()
	if *version {
		fmt.Println("network policies by kube-router")
		return
	}
	if err := run(settings); err != nil {
		log.Fatal(err)
	}
}

func run(settings *options.KubeRouterConfig) error {
	config, err := clientcmd.BuildConfigFromFlags("", settings.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	iptables, sets, err := netpol.NewIPTablesHandlers(settings)
	if err != nil {
		return err
	}
	var controller *netpol.NetworkPolicyController
	// Until the kubelet has told of the node.
	wait.PollUntilContextCancel(context.Background(), time.Second, true, func(context.Context) (bool, error) {
		controller, err = netpol.NewNetworkPolicyController(
			client, settings, pods, policies, namespaces, &sync.Mutex{}, iptables, sets)
		if err != nil {
			log.Print(err)
		}
		return err == nil, nil
	})
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods:       controller.PodEventHandler,
		policies:   controller.NetworkPolicyEventHandler,
		namespaces: controller.NamespaceEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(wait.NeverStop)
	factory.WaitForCacheSync(wait.NeverStop)

	// It says every now and then that it lives, to nobody.
	beats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range beats {
		}
	}()
	var running sync.WaitGroup
	running.Add(1)
	controller.Run(beats, wait.NeverStop, &running)
	return nil
}
